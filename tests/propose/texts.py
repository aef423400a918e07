"""Small networks of each style for the edits, and what an operator changes of them."""

from __future__ import annotations

from random import Random

from deltanas.propose.random_edit import Operator, unified_delta

HEAD = """\
import torch
import torch.nn as nn
import torch.nn.functional as F
def supported_hyperparameters():
    return {'lr', 'momentum'}
class Net(nn.Module):
    def train_setup(self, prm):
        self.hidden = nn.Conv2d(32, 64, kernel_size=3, padding=1)
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
"""


def network(init: str, forward: str = "return self.head(self.features(x))") -> str:
    """Return a network with these lines in `__init__` and `forward`."""
    body = "".join(f"        {line}\n" for line in init.strip("\n").splitlines())
    tail = "".join(f"        {line}\n" for line in forward.splitlines())
    return HEAD + body + "    def forward(self, x):\n" + tail


SEQUENTIAL = network("""
self.features = nn.Sequential(
    nn.Conv2d(in_shape[1], 32, kernel_size=3, padding=1),
    nn.BatchNorm2d(32),
    nn.ReLU(inplace=True),
    nn.Conv2d(32, 32, kernel_size=3, padding=1),
    nn.ReLU(inplace=True),
    nn.MaxPool2d(kernel_size=2, stride=2),
    nn.AdaptiveAvgPool2d((6, 6)),
    nn.Flatten(),
)
self.head = nn.Linear(32 * 6 * 6, out_shape[0])
""")

STATEMENTS = network("""
layers = []
in_channels = in_shape[1]
layers += [
    nn.Conv2d(in_channels, 48, kernel_size=3, padding=1),
    nn.BatchNorm2d(48),
    nn.ReLU(inplace=True),
]
in_channels = 48
self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d((6, 6)), nn.Flatten())
width = in_channels * 6 * 6
self.head = nn.Sequential(
    nn.Linear(width, 256),
    nn.ReLU(inplace=True),
    nn.Linear(256, out_shape[0]),
)
""")

ATTRIBUTES = network(
    """
self.conv1 = nn.Conv2d(in_shape[1], 16, 3, padding=1)
self.bn1 = nn.BatchNorm2d(16)
self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
self.head = nn.Linear(16, out_shape[0])
""",
    """\
x = F.relu(self.bn1(self.conv1(x)))
x = F.relu(self.conv2(x))
return self.head(x.mean(dim=(2, 3)))""",
)


def changes(before: str, after: str | None) -> tuple[list[str], list[str]]:
    """Return the removed and the added lines, stripped."""
    assert after is not None
    delta = unified_delta(before, after).splitlines()[2:]
    return (
        [line[1:].strip() for line in delta if line.startswith("-")],
        [line[1:].strip() for line in delta if line.startswith("+")],
    )


def outcomes(operator: Operator, code: str, seeds: int = 40) -> list[tuple[list[str], list[str]]]:
    """Return what an operator changes under many seeds."""
    results = [operator(code, Random(seed)) for seed in range(seeds)]
    return [changes(code, result) for result in results if result not in (None, code)]
