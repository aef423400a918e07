"""Ghost modules: half of the feature maps come from cheap depthwise filters (Han et al., 2020)."""

import torch
import torch.nn as nn


def supported_hyperparameters():
    return {'lr', 'momentum', 'dropout'}


class GhostModule(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        half = out_channels // 2
        self.primary = nn.Sequential(
            nn.Conv2d(in_channels, half, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )
        self.cheap = nn.Sequential(
            nn.Conv2d(half, half, kernel_size=3, padding=1, groups=half, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        primary = self.primary(x)
        return torch.cat([primary, self.cheap(primary)], dim=1)


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        layers = [GhostModule(channels, 32)]
        layers += [GhostModule(32, 48, stride=2)]
        layers += [GhostModule(48, 48)]
        layers += [GhostModule(48, 96, stride=2)]
        self.features = nn.Sequential(*layers)
        self.conv = nn.Conv2d(96, 128, kernel_size=1)
        self.act = nn.Hardswish()
        self.dropout = nn.Dropout(prm['dropout'])
        self.fc = nn.Linear(128, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(x)
        x = x.mean(dim=(2, 3), keepdim=True)
        x = self.act(self.conv(x))
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
