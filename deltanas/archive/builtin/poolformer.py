"""PoolFormer: average pooling as the token mixer (Yu et al., 2022)."""

import torch
import torch.nn as nn


def supported_hyperparameters():
    return {'lr', 'momentum'}


class PoolFormerBlock(nn.Module):
    def __init__(self, dim, mlp_ratio, pool_size=3):
        super().__init__()
        self.norm1 = nn.GroupNorm(1, dim)
        self.pool = nn.AvgPool2d(pool_size, stride=1, padding=pool_size // 2)
        self.norm2 = nn.GroupNorm(1, dim)
        self.mlp = nn.Sequential(
            nn.Conv2d(dim, dim * mlp_ratio, kernel_size=1),
            nn.GELU(),
            nn.Conv2d(dim * mlp_ratio, dim, kernel_size=1),
        )

    def forward(self, x):
        normed = self.norm1(x)
        x = x + self.pool(normed) - normed
        return x + self.mlp(self.norm2(x))


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        self.embed1 = nn.Conv2d(channels, 48, kernel_size=3, stride=2, padding=1)
        self.stage1 = nn.Sequential(
            PoolFormerBlock(48, mlp_ratio=2),
            PoolFormerBlock(48, mlp_ratio=2),
        )
        self.embed2 = nn.Conv2d(48, 96, kernel_size=3, stride=2, padding=1)
        self.stage2 = nn.Sequential(
            PoolFormerBlock(96, mlp_ratio=2),
        )
        self.norm = nn.LayerNorm(96)
        self.head = nn.Linear(96, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage1(self.embed1(x))
        x = self.stage2(self.embed2(x))
        x = x.mean(dim=(2, 3))
        x = self.norm(x)
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
