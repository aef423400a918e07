"""A wheel in LEMUR's layout with eight networks, each there for one reason."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deltanas.archive.lemur import LemurArchive
from deltanas.archive.lemur_import import import_wheel

NETWORK = '''"""A network."""
import torch
import torch.nn as nn


def supported_hyperparameters():
    return {"lr", "momentum"}


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.layer = nn.Linear(in_shape[1], WIDTH)  # the only layer

    def forward(self, x):
        return self.layer(x)

    def train_setup(self, prm):
        pass

    def learn(self, train_data):
        pass
'''

Trials = dict[tuple[str, int, str], list[dict[str, object]]]  # by dataset, epoch and network


def trial(accuracy: float, transform: str, **others: object) -> dict[str, object]:
    """Return one trial as the wheel's JSON states it."""
    plain = {"lr": 0.1, "momentum": 0.9, "batch": 64, "uid": f"{transform}-{accuracy}"}
    return {**plain, "accuracy": accuracy, "transform": transform, "duration": 10**9, **others}


@pytest.fixture
def networks() -> dict[str, str]:
    """The networks of the miniature wheel by name."""
    return {
        "ga-1": NETWORK.replace("WIDTH", "10"),
        "ga-2": NETWORK.replace("WIDTH", "10").replace("# the only layer", "# again"),
        "ga-3": NETWORK.replace("WIDTH", "30"),
        "alt-nn1-aa": NETWORK.replace("WIDTH", "40"),
        "rl-bb": NETWORK.replace("WIDTH", "50"),
        "rag-cc": NETWORK.replace("WIDTH", "60").replace(
            "import torch\n", "import einops\nimport torch\n"
        ),
        "ast-dd": NETWORK.replace("WIDTH", "70").replace("def learn", "def study"),
        "AirNet": NETWORK.replace("WIDTH", "80"),
    }


@pytest.fixture
def statistics() -> Trials:
    """The trials of the miniature wheel."""
    return {
        ("cifar-10", 1, "ga-1"): [
            trial(0.3, "norm_32_flip", dropout=0.25),
            trial(0.5, "echo_256"),
            trial(0.2, "norm_32"),
        ],
        ("cifar-10", 2, "ga-1"): [trial(0.9, "norm_32")],
        ("cifar-10", 1, "ga-2"): [trial(0.4, "norm", lr=0.01, batch=8)],
        ("cifar-10", 1, "ga-3"): [],
        ("mnist", 1, "ga-3"): [trial(0.95, "norm_32", batch=16), trial(0.99, "norm")],
        ("cifar-10", 1, "alt-nn1-aa"): [trial(0.6, "echo_256_flip")],
        ("celeba-gender", 1, "alt-nn1-aa"): [trial(0.8, "norm"), trial(0.7, "echo_64")],
        ("cifar-10", 1, "rl-bb"): [trial(0.6, "bf-v1-7"), trial(0.7, "complex_32_RandomCrop")],
        ("cifar-10", 1, "rag-cc"): [trial(0.6, "norm_32")],
        ("cifar-10", 1, "ast-dd"): [trial(0.6, "norm_32")],
        ("cifar-10", 1, "AirNet"): [trial(0.6, "norm_32", weight_decay=0.1)],
    }


@pytest.fixture
def make_wheel(
    tmp_path: Path, networks: dict[str, str], statistics: Trials
) -> Callable[..., Path]:
    """Return a function that writes the miniature wheel, of any version."""

    def make(version: str = "2.1.2") -> Path:
        info = f"nn_dataset-{version}.dist-info"
        files = {
            "ab/nn/nn/__init__.py": "",
            f"{info}/METADATA": f"Metadata-Version: 2.4\nName: nn-dataset\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
        files |= {f"ab/nn/nn/{name}.py": code for name, code in networks.items()}
        for (dataset, epoch, name), rows in statistics.items():
            folder = f"ab/nn/stat/train/img-classification_{dataset}_acc_{name}"
            files[f"{folder}/{epoch}.json"] = json.dumps(rows)
        path = tmp_path / "wheels" / f"nn_dataset-{version}-py3-none-any.whl"
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return path

    return make


@pytest.fixture
def wheel(make_wheel: Callable[..., Path]) -> Path:
    """The miniature wheel of the right version."""
    return make_wheel()


@pytest.fixture
def lemur(wheel: Path, tmp_path: Path) -> LemurArchive:
    """The archive that the miniature wheel turns into."""
    import_wheel(wheel, tmp_path / "lemur.sqlite", expected=None)
    return LemurArchive(tmp_path / "lemur.sqlite")
