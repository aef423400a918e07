"""Random edits of text that is laid out in ways that the archive never is, but a reply may be."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from random import Random

import pytest

from deltanas.propose.edits import convs
from deltanas.propose.edits.view import view_of
from deltanas.propose.random_edit import OPERATORS, random_edit, unified_delta
from deltanas.screen.delta import apply_delta

CODE = """\
import torch
import torch.nn as nn
import torch.nn.functional as F
class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        layers = []
        width = in_shape[1]
        for size in [16, 32, 32]:
            layers += [nn.Conv2d(width, size, kernel_size=1), nn.ReLU()]
            width = size
        layers += [
            nn.Conv2d(width, 32, kernel_size=3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, kernel_size=1),
            nn.LeakyReLU(0.1)
        ]
        self.features = nn.Sequential(*layers)
        self.conv = nn.Conv2d(32, 64, kernel_size=3)
        self.head = nn.Linear(64, out_shape[0])
    def forward(self, x):
        x = self.features(x)
        x = F.leaky_relu(self.conv(x), 0.1)
        return self.head(x.mean((2, 3)))
"""


def _constructor_last(code: str) -> str:
    """Return the code with `forward` first, and the layer that it inserts after as last line."""
    head, init, forward = re.split(r"^(?=    def )", code, flags=re.MULTILINE)
    return head + forward + re.sub(r" +self.head.*\n", "", init)


LAYOUTS: dict[str, Callable[[str], str]] = {
    "brackets around numbers": lambda code: re.sub(r"(?<=[ =\[])(\d+)(?=[,)\]])", r"(\1)", code),
    "brackets around layers": lambda code: re.sub(r"(nn\.BatchNorm2d\(\d+\))", r"(\1)", code),
    "brackets around tensors": lambda code: code.replace("self.conv(x),", "(self.conv(x)),"),
    "commas on lines of their own": lambda code: re.sub(r",\n( +)", r"\n\1,\n\1", code),
    "statements side by side": lambda code: code.replace("\n        self.", "; self."),
    "statements behind a colon": lambda code: code.replace("        x = ", "        if 1: x = "),
    "tabs": lambda code: code.replace("    ", "\t"),
    "old line ends": lambda code: code.replace("\n", "\r"),
    "Windows line ends": lambda code: code.replace("\n", "\r\n"),
    "no last line end": lambda code: _constructor_last(code)[:-1],
    "form feeds": lambda code: code.replace("\nclass", "\n\x0c\nclass").replace(")\n", ")\x0c\n"),
    "a width of zero": lambda code: code.replace("32, 64,", "32, 0,"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_operator_leaves_what_parses(name: str) -> None:
    code = LAYOUTS[name](CODE)
    ast.parse(code)
    assert code != CODE
    for operator in OPERATORS.values():
        for seed in range(60):
            ast.parse(operator(code, Random(seed)) or "")


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_delta_applies(name: str) -> None:
    code = LAYOUTS[name](CODE)
    for seed in range(20):
        edited = random_edit(code, Random(seed))
        applied = apply_delta(code, unified_delta(code, edited))
        assert ast.dump(ast.parse(applied)) == ast.dump(ast.parse(edited))
        assert view_of(applied).classes.keys() == view_of(edited).classes.keys()


def test_an_argument_is_added_before_a_comment_with_brackets() -> None:
    code = CODE.replace("kernel_size=3)", "kernel_size=(3)  # (a)\n        )")
    edits = [convs.kernel(code, Random(seed)) or "" for seed in range(60)]
    assert any("kernel_size=(5), padding=1  # (a)\n        )" in edited for edited in edits)
