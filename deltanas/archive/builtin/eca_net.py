"""Efficient channel attention: a 1-d convolution over channel means (Wang et al., 2020)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def supported_hyperparameters():
    return {'lr', 'momentum', 'dropout'}


class ECA(nn.Module):
    def __init__(self, kernel_size):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x):
        weights = F.adaptive_avg_pool2d(x, 1)
        weights = weights.squeeze(-1).transpose(1, 2)
        weights = torch.sigmoid(self.conv(weights))
        return x * weights.transpose(1, 2).unsqueeze(-1)


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        self.conv1 = nn.Conv2d(channels, 24, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.att1 = ECA(kernel_size=3)
        self.conv2 = nn.Conv2d(24, 48, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(48)
        self.att2 = ECA(kernel_size=3)
        self.conv3 = nn.Conv2d(48, 96, kernel_size=3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(96)
        self.att3 = ECA(kernel_size=5)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.dropout = nn.Dropout(prm['dropout'])
        self.fc = nn.Linear(96, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.pool(self.att1(x))
        x = F.relu(self.bn2(self.conv2(x)))
        x = self.pool(self.att2(x))
        x = F.relu(self.bn3(self.conv3(x)))
        x = self.att3(x)
        x = F.adaptive_avg_pool2d(x, 1)
        x = torch.flatten(x, 1)
        return self.fc(self.dropout(x))

    def train_setup(self, prm):
        self.to(self.device)
        self.criteria = (nn.CrossEntropyLoss().to(self.device),)
        self.optimizer = torch.optim.SGD(self.parameters(), lr=prm['lr'], momentum=prm['momentum'])

    def learn(self, train_data):
        self.train()
        for inputs, labels in train_data:
            inputs, labels = inputs.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            outputs = self(inputs)
            loss = self.criteria[0](outputs, labels)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters(), 3)
            self.optimizer.step()
