"""Networks that the tests send to executors: honest ones, and ones with a line of mischief."""

from __future__ import annotations

from deltanas.records import Job, Recipe

RECIPE = Recipe(lr=0.05, momentum=0.9, batch=64, image_size=8, flip=False)
PARAMETERS = 64 * 32 + 32 + 32 * 10 + 10  # of `network()` on digits

_TEMPLATE = """
import os, signal, sys, time
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.device = device
        {init}
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(in_shape[1] * in_shape[2] * in_shape[3], 32), nn.ReLU(),
            nn.Linear(32, out_shape[0]),
        )

    def forward(self, x):
        {forward}
        return self.layers(x)

    def train_setup(self, prm):
        self.to(self.device)
        self.criteria = nn.CrossEntropyLoss().to(self.device)
        self.optimizer = torch.optim.SGD(self.parameters(), lr=prm["lr"], momentum=prm["momentum"])
"""


def network(*, init: str = "pass", forward: str = "pass", training: str = "pass") -> str:
    """Return a small network with a line of its own in the constructor or in forward.

    `training` runs in forward too, but only on real images: the shape check does not meet it.
    """
    if training != "pass":
        forward = f"if not x.is_meta: {training}"
    return _TEMPLATE.format(init=init, forward=forward)


def make_job(
    code: str, *, job_id: str = "job", recipe: Recipe = RECIPE, epochs: int = 1, seed: int = 0
) -> Job:
    """Return a job for a piece of source, for one epoch on digits unless it is said otherwise."""
    return Job(job_id=job_id, code=code, recipe=recipe, epochs=epochs, seed=seed)
