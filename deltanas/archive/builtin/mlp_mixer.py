"""MLP-Mixer: token mixing and channel mixing by plain MLPs (Tolstikhin et al., 2021)."""

import torch
import torch.nn as nn


def supported_hyperparameters():
    return {'lr', 'momentum', 'dropout'}


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class MixerBlock(nn.Module):
    def __init__(self, num_patches, dim, token_dim, channel_dim):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.token_mix = Mlp(num_patches, token_dim)
        self.norm2 = nn.LayerNorm(dim)
        self.channel_mix = Mlp(dim, channel_dim)

    def forward(self, x):
        tokens = self.norm1(x).transpose(1, 2)
        x = x + self.token_mix(tokens).transpose(1, 2)
        return x + self.channel_mix(self.norm2(x))


class Net(nn.Module):
    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        channels = in_shape[1]
        num_classes = out_shape[0]
        patch = 2 if in_shape[2] <= 16 else 4
        num_patches = (in_shape[2] // patch) * (in_shape[3] // patch)
        dim = 64
        depth = 3
        self.embed = nn.Conv2d(channels, dim, kernel_size=patch, stride=patch)
        blocks = []
        for _ in range(depth):
            blocks.append(MixerBlock(num_patches, dim, token_dim=32, channel_dim=128))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(prm['dropout'])
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        x = x.flatten(2).transpose(1, 2)
        x = self.blocks(x)
        x = self.norm(x).mean(dim=1)
        return self.head(self.dropout(x))

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
