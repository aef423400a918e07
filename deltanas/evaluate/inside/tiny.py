"""A network that trains on every image set: it warms the zygote up, and tests workers."""

from __future__ import annotations

from deltanas.records import Recipe

TINY = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_shape[1], 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(4, out_shape[0]),
        )

    def forward(self, x):
        return self.layers(x)

    def train_setup(self, prm):
        self.criteria = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.parameters(), lr=prm["lr"], momentum=prm["momentum"])
"""
TINY_RECIPE = Recipe(lr=0.01, momentum=0.9, batch=64, image_size=16, flip=True)
