from __future__ import annotations

import random
from pathlib import Path

import pytest

from deltanas.propose.random_edit import random_edit
from deltanas.screen.novelty import NoveltyIndex
from deltanas.screen.trees import nodes, tree_shingles

NETWORK = """import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    '''Two of them.'''

    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, kernel_size=3)

    def forward(self, x):
        return F.relu(self.conv(x))


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.block = Block(width=8)

    def forward(self, x):
        x = x.contiguous()
        return self.block(x).mean((2, 3))

    def learn(self, data):
        self.optimizer.step()
"""
SAME = {
    "layout": ("(width, width, kernel_size=3)", "(\n            width, width, kernel_size=3\n)"),
    "comments and docstrings": ("'''Two of them.'''", "# two\n    'Two'"),
    "imports": ("import torch.nn as nn", "import math\nimport torch\nimport torch.nn as nn"),
    "training": ("self.optimizer.step()", "pass"),
    "attributes": ("self.conv", "self.layer"),
    "classes": ("Block", "Unit"),
    "arguments": ("width", "channels"),
    "annotations": ("def forward(self, x)", "def forward(self, x: nn.Module) -> nn.Module"),
}
OTHER = {
    "constants": ("kernel_size=3", "kernel_size=5"),
    "functions of libraries": ("F.relu", "F.gelu"),
    "keywords": ("kernel_size=3", "kernel_size=3, stride=1"),
    "layers": ("nn.Conv2d", "nn.LazyConv2d"),
    "methods of what was computed": (".mean(", ".amax("),
    "methods of what has a name": (".contiguous(", ".clone("),
    "calls": ("self.block(x)", "self.block(self.block(x))"),
}


def edited(old: str, new: str) -> str:
    assert old in NETWORK
    return NETWORK.replace(old, new)


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_nodes_are_those_of_the_architecture(old: str, new: str) -> None:
    assert list(nodes(edited(old, new))) == list(nodes(NETWORK))


@pytest.mark.parametrize(("old", "new"), OTHER.values(), ids=OTHER)
def test_what_changes_the_architecture_changes_the_nodes(old: str, new: str) -> None:
    assert list(nodes(edited(old, new))) != list(nodes(NETWORK))


def test_shingles_are_runs_of_nodes_and_of_a_short_tree_the_whole() -> None:
    assert list(nodes("x = nn.Linear(3)")) == [
        *("Module", "Assign", "Name", "Call"),
        *("Attribute Linear", "Name nn", "Constant 3"),
    ]
    runs = tree_shingles("x = nn.Linear(3)", 6)
    assert runs == {
        b"Module\nAssign\nName\nCall\nAttribute Linear\nName nn",
        b"Assign\nName\nCall\nAttribute Linear\nName nn\nConstant 3",
    }
    assert tree_shingles("x", 6) == {b"Module\nExpr\nName x"}


def test_an_index_of_trees_sees_edits_that_texts_hardly_show() -> None:
    code = (Path(__file__).parents[2] / "deltanas/archive/builtin/resnet_basic.py").read_text()
    texts, trees = NoveltyIndex(), NoveltyIndex(trees=True)
    for index in (texts, trees):
        index.add(code, "resnet")
    edits = [random_edit(code, random.Random(seed), operators=2) for seed in range(8)]
    by_text = sum(texts.is_novel(texts.similarity(edit)[0]) for edit in edits)
    by_tree = sum(trees.is_novel(trees.similarity(edit)[0]) for edit in edits)
    assert by_tree > by_text + 3
    assert trees.similarity("# a comment\n" + code.replace("self.", "self . ")) == (1.0, "resnet")
    assert texts.definition != trees.definition
