"""Inception with 1xN and Nx1 convolutions (Szegedy et al., 2016)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def supported_hyperparameters():
    return {'lr', 'momentum'}


class ConvBNReLU(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class FactoredInception(nn.Module):
    def __init__(self, in_channels, width):
        super().__init__()
        self.branch1 = ConvBNReLU(in_channels, width, 1)
        self.reduce = ConvBNReLU(in_channels, width, 1)
        self.row = ConvBNReLU(width, width, (1, 5), padding=(0, 2))
        self.column = ConvBNReLU(width, width, (5, 1), padding=(2, 0))

    def forward(self, x):
        factored = self.column(self.row(self.reduce(x)))
        return torch.cat([self.branch1(x), factored], dim=1)


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        self.stem = ConvBNReLU(channels, 16, 3, stride=1, padding=1)
        self.mixed1 = FactoredInception(16, 16)
        self.down1 = ConvBNReLU(32, 32, 3, stride=2, padding=1)
        self.mixed2 = FactoredInception(32, 32)
        self.down2 = ConvBNReLU(64, 64, 3, stride=2, padding=1)
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.down1(self.mixed1(x))
        x = self.down2(self.mixed2(x))
        x = F.adaptive_avg_pool2d(x, 1)
        return self.fc(x.flatten(1))

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
