"""Inception modules: four parallel branches, concatenated (Szegedy et al., 2015)."""

import torch
import torch.nn as nn


def supported_hyperparameters():
    return {'lr', 'momentum', 'dropout'}


class Inception(nn.Module):
    def __init__(self, in_channels, width1, width3, width5, width_pool):
        super().__init__()
        self.branch1 = nn.Conv2d(in_channels, width1, kernel_size=1)
        self.branch3 = nn.Sequential(
            nn.Conv2d(in_channels, width3 // 2, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width3 // 2, width3, kernel_size=3, padding=1),
        )
        self.branch5 = nn.Sequential(
            nn.Conv2d(in_channels, width5 // 2, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width5 // 2, width5, kernel_size=5, padding=2),
        )
        self.branch_pool = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
            nn.Conv2d(in_channels, width_pool, kernel_size=1),
        )
        self.norm = nn.BatchNorm2d(width1 + width3 + width5 + width_pool)

    def forward(self, x):
        branches = [self.branch1(x), self.branch3(x), self.branch5(x), self.branch_pool(x)]
        return torch.relu(self.norm(torch.cat(branches, dim=1)))


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 24, kernel_size=3, padding=1),
            nn.BatchNorm2d(24),
            nn.ReLU(inplace=True),
        )
        self.inception1 = Inception(24, 8, 16, 8, 8)
        self.pool1 = nn.MaxPool2d(2)
        self.inception2 = Inception(40, 16, 32, 16, 16)
        self.pool2 = nn.MaxPool2d(2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(prm['dropout'])
        self.fc = nn.Linear(80, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.pool1(self.inception1(x))
        x = self.pool2(self.inception2(x))
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
