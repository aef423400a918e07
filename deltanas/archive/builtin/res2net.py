"""Res2Net: hierarchical splits inside one residual block (Gao et al., 2021)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def supported_hyperparameters():
    return {'lr', 'momentum', 'dropout'}


class Res2Block(nn.Module):
    def __init__(self, channels, scale=4):
        super().__init__()
        self.scale = scale
        width = channels // scale
        self.reduce = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.convs = nn.ModuleList(
            [nn.Conv2d(width, width, kernel_size=3, padding=1) for _ in range(scale - 1)]
        )
        self.expand = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        splits = F.relu(self.bn1(self.reduce(x))).chunk(self.scale, dim=1)
        outputs = [splits[0]]
        for index, conv in enumerate(self.convs):
            outputs.append(F.relu(conv(splits[index + 1] + outputs[-1])))
        out = self.bn2(self.expand(torch.cat(outputs, dim=1)))
        return F.relu(x + out)


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        self.conv1 = nn.Conv2d(channels, 32, kernel_size=3, padding=1)
        self.block1 = Res2Block(32, scale=4)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, stride=2, padding=1)
        self.block2 = Res2Block(64, scale=4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(prm['dropout'])
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = self.block1(x)
        x = F.relu(self.conv2(x))
        x = self.block2(x)
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
