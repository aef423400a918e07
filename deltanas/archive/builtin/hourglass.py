"""Encoder and decoder with skip connections, pooled into a classifier (Newell et al., 2016)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def supported_hyperparameters():
    return {'lr', 'momentum'}


def conv_block(in_channels, out_channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        self.encode1 = conv_block(channels, 16)
        self.encode2 = conv_block(16, 32)
        self.middle = conv_block(32, 64)
        self.decode2 = conv_block(64 + 32, 32)
        self.decode1 = conv_block(32 + 16, 32)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(32 * 4, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip1 = self.encode1(x)
        skip2 = self.encode2(self.pool(skip1))
        x = self.middle(self.pool(skip2))
        x = F.interpolate(x, size=skip2.shape[-2:], mode='nearest')
        x = self.decode2(torch.cat([x, skip2], dim=1))
        x = F.interpolate(x, size=skip1.shape[-2:], mode='nearest')
        x = self.decode1(torch.cat([x, skip1], dim=1))
        x = F.adaptive_max_pool2d(x, 2)
        x = torch.flatten(x, 1)
        return self.head(x)

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
