"""LEMUR's own package finds what was exported to its layout, and trains one of these networks.

The wheel of nn-dataset 2.1.2 has 103 MB, so a variable names one that is there already; what it
needs besides comes from the package index.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.archive.lemur_export import Trained, lemur_files, lemur_name

WHEEL = "DELTANAS_LEMUR_WHEEL"
NEEDS = ("pandas", "python-dateutil", "six", "radon", "mando", "colorama")
ASK = """
import json
from ab.nn.api import data
from ab.nn.util.Loader import load_dataset
from ab.nn.util.Train import Train
from ab.nn.util.Util import nn_mod

found = data()
row = found[found.nn == NAME].iloc[0]
prm = dict(row.prm)
shape, chance, train, test = load_dataset(row.task, row.dataset, prm["transform"])
config = (row.task, row.dataset, row.metric, row.nn)
trainer = Train(config, shape, chance, prm["batch"], nn_mod("nn", row.nn), row.task, train, test,
                row.metric, 0, prm, save_to_db=False)
accuracy, _, _ = trainer.train_n_eval(1, 30, False, False, train)
print(json.dumps({
    "listed": sorted(zip(found.nn, found.dataset, found.accuracy, found.duration)),
    "code": row.nn_code, "prm": prm, "accuracy": accuracy,
}))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        WHEEL not in os.environ,
        reason=f"{WHEEL} names no wheel of nn-dataset 2.1.2, which has 103 MB",
    ),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LEMUR's code without its networks and statistics, with what it needs to be imported."""
    home = tmp_path_factory.mktemp("lemur")
    with zipfile.ZipFile(os.environ[WHEEL]) as wheel:
        for name in wheel.namelist():
            data = name.startswith(("ab/nn/nn/", "ab/nn/stat/")) and "__init__" not in name
            if name.startswith("ab/") and name.endswith(".py") and not data:
                wheel.extract(name, home)
    (home / "README.md").touch()  # by this it knows its root
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    done = subprocess.run(
        [*pip, home / "needs", *NEEDS], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no package index: {done.stderr.strip()[-200:]}")
    return home


def write_mnist(root: Path) -> None:
    """Write few images in MNIST's files: each is as bright as its label says."""
    root.mkdir(parents=True)
    for name, count in (("train", 640), ("t10k", 200)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = np.broadcast_to(labels[:, None, None] * 25, (count, 28, 28)).astype(np.uint8)
        for kind, array in (("images", images), ("labels", labels)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(
                size.to_bytes(4, "big") for size in array.shape
            )
            path = root / f"{name}-{kind}-idx{array.ndim}-ubyte"
            path.write_bytes(head + array.tobytes())


def test_lemur_lists_what_was_exported_and_trains_one(package: Path) -> None:
    known = {one.baseline_id: one for one in BuiltinArchive().baselines(dataset="mnist")}
    found = [
        Trained(
            code=known[name].code,
            dataset="mnist",
            recipe=replace(known[name].recipe, image_size=size, dropout=0.2),
            trials=((0.5, 1.5), (0.625, 1.25)),
        )
        for name, size in (("lenet", 28), ("resnet_basic", 16))  # LEMUR has no norm_16
    ]
    for name, text in lemur_files(found).items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_mnist(package / "data" / "MNIST" / "raw")
    names = [lemur_name(one.code) for one in found]
    done = subprocess.run(
        [sys.executable, "-c", f"NAME = {names[1]!r}\n{ASK}"],
        cwd=package,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (package, package / "needs")))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["listed"] == sorted(
        [name, "mnist", accuracy, round(seconds * 1e9)]
        for name in names
        for accuracy, seconds in found[0].trials
    )
    assert told["code"] == found[1].code
    assert told["prm"]["transform"] == "norm_16"
    assert told["accuracy"] > 0.2
