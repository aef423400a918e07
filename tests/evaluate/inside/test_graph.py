"""The hash of a traced network: equal for what computes the same, and for nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.evaluate.channel import Limits
from deltanas.evaluate.inside.shape_check import measure
from deltanas.records import Recipe

RECIPE = Recipe(lr=0.05, momentum=0.9, batch=4, image_size=16, flip=False)
LIMITS = Limits(timeout_s=9, memory_bytes=2**30, threads=1, max_parameters=2**40, max_macs=2**40)
NETWORK = """
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.stem = nn.Conv2d(in_shape[1], 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.left = nn.Conv2d(8, 8, 3, padding=1)
        self.right = nn.Conv2d(8, 8, 3, padding=1)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8, out_shape[0])
        self.scale = torch.tensor([0.5])
        self.register_buffer("seen", torch.zeros(8))

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = self.left(x) + self.right(x)
        x = self.drop(x) * self.scale
        x = x.mean((2, 3))
        self.seen.mul_(0.9).add_(x.mean(0))
        x[:, 0] += 1
        return self.head(x)

    def train_setup(self, prm):
        pass
"""
SWAPPED = """        self.drop = nn.Dropout(0.2)
        self.norm = nn.BatchNorm2d(8)
        self.stem = nn.Conv2d(in_shape[1], 8, 3, padding=1)
"""


def traced(code: str, recipe: Recipe = RECIPE) -> str | None:
    scope: dict[str, Any] = {}
    exec(code, scope)
    found = measure(scope["Net"], recipe, channels=3, num_classes=10, limits=LIMITS, trace=True)
    return found.graph


def edited(*edits: tuple[str, str]) -> str:
    code = NETWORK
    for old, new in edits:
        assert old in code
        code = code.replace(old, new)
    return code


BEFORE = traced(NETWORK)
SAME = {
    "names": [("left", "one"), ("right", "two"), ("self.norm", "self.z")],
    "comments": [("        return", "        # the end\n        return")],
    "definitions": [
        ("        self.drop = nn.Dropout(0.2)\n", ""),
        ("        self.norm = nn.BatchNorm2d(8)\n", ""),
        ("        self.stem = nn.Conv2d(in_shape[1], 8, 3, padding=1)\n", SWAPPED),
    ],
    "statements": [
        ("x = self.left(x) + self.right(x)", "y = self.right(x); z = self.left(x); x = z + y")
    ],
    "a module for a function": [("F.relu(", "nn.ReLU()(")],
    "a container": [("self.norm(self.stem(x))", "nn.Sequential(self.stem, self.norm)(x)")],
    "defaults": [("nn.BatchNorm2d(8)", "nn.BatchNorm2d(8, eps=1e-5, affine=True)")],
    "a layer that nothing uses": [("self.drop =", "self.more = nn.Linear(3, 3); self.drop =")],
    "a step without effect": [("x = x.mean((2, 3))", "x.sigmoid(); x = x.mean((2, 3))")],
    "nothing dropped": [("self.scale\n", "self.scale\n        x = F.dropout(x, 0.0)\n")],
}
OTHER = {
    "channels": [("8", "12")],
    "kernel": [("nn.Conv2d(8, 8, 3, padding=1)", "nn.Conv2d(8, 8, 5, padding=2)")],
    "stride": [("in_shape[1], 8, 3, padding=1", "in_shape[1], 8, 3, stride=2, padding=1")],
    "dilation": [("in_shape[1], 8, 3, padding=1", "in_shape[1], 8, 3, padding=2, dilation=2")],
    "bias": [("in_shape[1], 8, 3, padding=1", "in_shape[1], 8, 3, padding=1, bias=False")],
    "dropout": [("0.2", "0.3")],
    "eps": [("nn.BatchNorm2d(8)", "nn.BatchNorm2d(8, eps=1e-4)")],
    "momentum": [("nn.BatchNorm2d(8)", "nn.BatchNorm2d(8, momentum=0.2)")],
    "operator": [("F.relu", "F.gelu")],
    "order": [("x = self.left(x) + self.right(x)", "x = self.left(x) - self.right(x)")],
    "wiring": [("self.left(x) + self.right(x)", "self.left(self.right(x))")],
    "shared weights": [("self.left(x) + self.right(x)", "self.left(x) + self.left(x)")],
    "shared noise": [("self.drop(x) * self.scale", "(lambda y: y * y)(self.drop(x))")],
    "noise of its own": [("self.drop(x) * self.scale", "self.drop(x) * self.drop(x)")],
    "values": [("torch.tensor([0.5])", "torch.tensor([0.25])")],
    "values of numpy": [("torch.tensor([0.5])", "torch.from_numpy(np.ones(1, 'float32'))")],
    "initial weights": [("self.scale =", "nn.init.normal_(self.head.weight); self.scale =")],
    "initial spread": [("self.scale =", "nn.init.normal_(self.head.weight, 0, 2); self.scale =")],
    "a parameter": [("torch.tensor([0.5])", "nn.Parameter(torch.tensor([0.5]))")],
    "a frozen layer": [("self.scale =", "self.stem.requires_grad_(False); self.scale =")],
    "a cut gradient": [("self.left(x) +", "self.left(x.detach()) +")],
    "another cut gradient": [("+ self.right(x)", "+ self.right(x.detach())")],
    "a branch without gradients": [("+ self.right(x)", "+ torch.no_grad()(self.right)(x)")],
    "a place": [("x[:, 0] += 1", "x[:, 1] += 1")],
    "a buffer's update": [("0.9", "0.8")],
}


@pytest.mark.parametrize("edits", SAME.values(), ids=SAME)
def test_what_computes_the_same_has_the_same_hash(edits: list[tuple[str, str]]) -> None:
    assert re.fullmatch("[0-9a-f]{32}", BEFORE or "")
    assert traced(edited(*edits)) == BEFORE


def test_every_other_network_has_a_hash_of_its_own() -> None:
    found = {name: traced(edited(*edits)) for name, edits in OTHER.items()}
    assert None not in found.values()
    assert len({BEFORE, *found.values()}) == 1 + len(OTHER), found


def test_which_of_two_equal_layers_comes_again_is_seen() -> None:
    once = "x = F.relu(self.left(x)) + torch.tanh(self.right(x))"
    again = [("x = self.left(x) + self.right(x)", f"{once}\n        x = self.left(x)")]
    other = [("x = self.left(x) + self.right(x)", f"{once}\n        x = self.right(x)")]
    assert traced(edited(*again)) != traced(edited(*other))


@pytest.mark.parametrize(
    "line",
    [
        "x = x * x.sum().item()",
        "x = x if x.sum() > 0 else -x",
        "x = x * torch.from_numpy(np.ones(1, 'float32')).to(x.device).item()",
    ],
)
def test_what_depends_on_values_is_not_traced(line: str) -> None:
    assert traced(edited(("x = x.mean((2, 3))", f"x = x.mean((2, 3)); {line}"))) is None


def test_a_network_that_needs_values_to_be_built_is_traced_on_the_cpu() -> None:
    line = (
        "self.some = torch.ones(2).nonzero();"  # which the meta device cannot tell
        " self.table = nn.Parameter(torch.full((8,), {value})); self.drop ="
    )
    one, same, other = (
        traced(edited(("self.drop =", line.format(value=v)), ("* self.scale", "* self.table[0]")))
        for v in (1.0, 1.0, 2.0)
    )
    assert one == same
    assert None not in (one, other)
    assert one != other
    by_value = ("* self.scale", "* self.table[0] * x.sum().item()")
    assert traced(edited(("self.drop =", line.format(value=1.0)), by_value)) is None


def test_no_two_builtin_networks_compute_the_same() -> None:
    baselines = list(
        BuiltinArchive().baselines(dataset="digits", max_image_size=64, max_lines=400)
    )
    found = {one.baseline_id: traced(one.code, one.recipe) for one in baselines}
    assert None not in found.values(), found
    assert len(set(found.values())) == len(baselines)


def test_the_hash_is_told_where_it_is_asked_for_only() -> None:
    scope: dict[str, Any] = {}
    exec(NETWORK, scope)
    asked = measure(scope["Net"], RECIPE, channels=3, num_classes=10, limits=LIMITS, trace=True)
    plain = measure(scope["Net"], RECIPE, channels=3, num_classes=10, limits=LIMITS)
    assert plain == asked._replace(graph=None)
