"""Parallel kernels of three sizes, summed with learned weights."""

import torch
import torch.nn as nn


def supported_hyperparameters():
    return {'lr', 'momentum', 'dropout'}


class MultiScaleConv(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv3 = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.conv5 = nn.Conv2d(in_channels, out_channels, kernel_size=5, padding=2)
        self.conv7 = nn.Conv2d(in_channels, out_channels, kernel_size=7, padding=3)
        self.weights = nn.Parameter(torch.ones(3))
        self.norm = nn.BatchNorm2d(out_channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        weights = torch.softmax(self.weights, dim=0)
        out = weights[0] * self.conv3(x)
        out = out + weights[1] * self.conv5(x)
        out = out + weights[2] * self.conv7(x)
        return self.act(self.norm(out))


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        self.scale1 = MultiScaleConv(channels, 16)
        self.pool1 = nn.MaxPool2d(kernel_size=2)
        self.scale2 = MultiScaleConv(16, 32)
        self.pool2 = nn.MaxPool2d(kernel_size=2)
        self.project = nn.Conv2d(32, 64, kernel_size=1)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.dropout = nn.Dropout(prm['dropout'])
        self.fc = nn.Linear(64 * 2 * 2, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool1(self.scale1(x))
        x = self.pool2(self.scale2(x))
        x = torch.relu(self.project(x))
        x = torch.flatten(self.pool(x), 1)
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
