"""ConvNeXt blocks: large depthwise kernel, layer norm, inverted bottleneck (Liu et al., 2022)."""

import torch
import torch.nn as nn


def supported_hyperparameters():
    return {'lr', 'momentum'}


class ConvNeXtBlock(nn.Module):
    def __init__(self, dim, kernel_size=5, expansion=2):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.pwconv1 = nn.Linear(dim, dim * expansion)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(dim * expansion, dim)
        self.gamma = nn.Parameter(torch.full((dim,), 0.5))

    def forward(self, x):
        out = self.dwconv(x)
        out = out.permute(0, 2, 3, 1)
        out = self.norm(out)
        out = self.pwconv2(self.act(self.pwconv1(out)))
        out = self.gamma * out
        return x + out.permute(0, 3, 1, 2)


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        self.stem = nn.Conv2d(channels, 48, kernel_size=2, stride=2)
        self.stage1 = nn.Sequential(
            ConvNeXtBlock(48, kernel_size=5),
            ConvNeXtBlock(48, kernel_size=5),
        )
        self.downsample = nn.Sequential(
            nn.GroupNorm(1, 48),
            nn.Conv2d(48, 96, kernel_size=2, stride=2),
        )
        self.stage2 = ConvNeXtBlock(96, kernel_size=3)
        self.norm = nn.LayerNorm(96)
        self.head = nn.Linear(96, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.stage1(x)
        x = self.downsample(x)
        x = self.stage2(x)
        x = self.norm(x.mean(dim=(2, 3)))
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
