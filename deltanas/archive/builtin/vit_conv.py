"""Compact convolutional transformer: conv tokens, sequence pooling (Hassani et al., 2021)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def supported_hyperparameters():
    return {'lr', 'momentum'}


class EncoderLayer(nn.Module):
    def __init__(self, dim, num_heads, mlp_dim):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, mlp_dim)
        self.linear2 = nn.Linear(mlp_dim, dim)

    def forward(self, x):
        tokens = self.norm1(x)
        attended, _ = self.attn(tokens, tokens, tokens, need_weights=False)
        x = x + attended
        hidden = F.gelu(self.linear1(self.norm2(x)))
        return x + self.linear2(hidden)


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        self.tokenizer = nn.Sequential(
            nn.Conv2d(channels, 32, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
            nn.Conv2d(32, 48, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(4),
        )
        self.pos_embed = nn.Parameter(torch.zeros(1, 16, 48))
        self.layer1 = EncoderLayer(48, num_heads=4, mlp_dim=96)
        self.layer2 = EncoderLayer(48, num_heads=4, mlp_dim=96)
        self.norm = nn.LayerNorm(48)
        self.seq_pool = nn.Linear(48, 1)
        self.fc = nn.Linear(48, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.tokenizer(x).flatten(2).transpose(1, 2)
        x = x + self.pos_embed
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.norm(x)
        weights = F.softmax(self.seq_pool(x), dim=1)
        x = (weights * x).sum(dim=1)
        return self.fc(x)

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
