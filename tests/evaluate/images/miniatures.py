"""The six image sets in miniature, each in its real files: 40 training and 10 test images.

Every image is of one colour, which tells its label: see `level`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import scipy.io
import torchvision
from PIL import Image

from deltanas.evaluate.images import sources
from deltanas.evaluate.images.sources import CELEBA_MALE, SOURCES

TRAIN, TEST = 40, 10
COUNTS = {"train": TRAIN, "test": TEST}
WNIDS = [
    *("n01440764", "n02102040", "n02979186", "n03000684", "n03028079"),
    *("n03394916", "n03417042", "n03425413", "n03445777", "n03888257"),
]
OBLONG = (48, 36)  # width and height of photographs


def level(label: int) -> int:
    """Return the grey level of the images with a label below 10."""
    return 10 + 20 * label


def labels(count: int, classes: int = 10) -> list[int]:
    return [index % classes for index in range(count)]


def rows(found: list[int], pixels: int) -> np.ndarray:
    return np.array([[level(label)] * pixels for label in found], np.uint8)


def write_cifar10(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    parts = {f"data_batch_{1 + i}": labels(TRAIN)[i::5] for i in range(5)}
    for name, found in {**parts, "test_batch": labels(TEST)}.items():
        entry = {"data": rows(found, 3072), "labels": found}
        (folder / name).write_bytes(pickle.dumps(entry))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [*"abcdefghij"]}))


def write_cifar100(root: Path) -> None:
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, count in COUNTS.items():
        found = labels(count)
        entry = {"data": rows(found, 3072), "fine_labels": found, "coarse_labels": [0] * count}
        (folder / name).write_bytes(pickle.dumps(entry))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [*"abcdefghij"]}))


def write_mnist(root: Path) -> None:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, count in (("train", TRAIN), ("t10k", TEST)):
        found = labels(count)
        sizes = np.array([0x803, count, 28, 28], ">i4").tobytes()
        images = sizes + rows(found, 784).tobytes()
        (folder / f"{name}-images-idx3-ubyte").write_bytes(images)
        header = np.array([0x801, count], ">i4").tobytes()
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(header + bytes(found))


def write_svhn(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, count in COUNTS.items():
        found = labels(count)
        images = rows(found, 3072).reshape(count, 32, 32, 3).transpose(1, 2, 3, 0)
        ten_for_zero = np.array([[label or 10] for label in found], np.uint8)
        scipy.io.savemat(root / f"{name}_32x32.mat", {"X": images, "y": ten_for_zero})


def write_imagenette(root: Path, folder: str = "imagenette2-160") -> None:
    for part, count in (("train", TRAIN), ("val", TEST)):
        for index, label in enumerate(labels(count)):
            path = root / folder / part / WNIDS[label] / f"{index}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            # one of three is grey, as some are in ImageNet
            mode, colour = ("L", level(label)) if index % 3 else ("RGB", (level(label),) * 3)
            Image.new(mode, OBLONG, colour).save(path, "JPEG", quality=95)


def write_celeba(root: Path) -> None:
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    parts = [0] * TRAIN + [1] * 4 + [2] * TEST  # training, validation, test
    lists: dict[str, list[str]] = {
        "list_eval_partition.txt": [],
        "identity_CelebA.txt": [],
        "list_bbox_celeba.txt": [str(len(parts)), "image_id x_1 y_1 width height"],
        "list_landmarks_align_celeba.txt": [str(len(parts)), "a b c d e f g h i j"],
        "list_attr_celeba.txt": [str(len(parts)), " ".join(f"a{i}" for i in range(40))],
    }
    for index, part in enumerate(parts):
        name, male = f"{index + 1:06d}.jpg", index % 2
        colour = (level(male),) * 3
        Image.new("RGB", OBLONG[::-1], colour).save(folder / "img_align_celeba" / name, quality=95)
        attributes = [-1] * 40
        attributes[CELEBA_MALE] = 2 * male - 1
        for file, values in zip(
            lists, ([part], [index], [0] * 4, [0] * 10, attributes), strict=True
        ):
            lists[file].append(" ".join(map(str, (name, *values))))
    for file, lines in lists.items():
        (folder / file).write_text("\n".join(lines) + "\n")


WRITERS: dict[str, Callable[[Path], None]] = {
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
    "mnist": write_mnist,
    "svhn": write_svhn,
    "imagenette": write_imagenette,
    "celeba": write_celeba,
}


def without_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision's classes accept files whose MD5 is not that of the real ones."""
    datasets = torchvision.datasets

    class CIFAR10(datasets.CIFAR10):
        train_list = [[name, None] for name, _ in datasets.CIFAR10.train_list]
        test_list = [[name, None] for name, _ in datasets.CIFAR10.test_list]
        meta = {**datasets.CIFAR10.meta, "md5": None}

    class CIFAR100(datasets.CIFAR100):
        train_list = [[name, None] for name, _ in datasets.CIFAR100.train_list]
        test_list = [[name, None] for name, _ in datasets.CIFAR100.test_list]
        meta = {**datasets.CIFAR100.meta, "md5": None}

    class SVHN(datasets.SVHN):
        split_list = {part: [*rest, None] for part, (*rest, _) in datasets.SVHN.split_list.items()}

    class CelebA(datasets.CelebA):
        file_list = [(number, None, name) for number, _, name in datasets.CelebA.file_list]

    for kind in (CIFAR10, CIFAR100, SVHN, CelebA):
        monkeypatch.setattr(datasets, kind.__name__, kind)


def patch_sources(monkeypatch: pytest.MonkeyPatch, counts: Mapping[Any, int] | None) -> None:
    """Let image sets have so many images; None for any number."""
    small = {name: replace(source, counts=counts) for name, source in SOURCES.items()}
    monkeypatch.setattr(sources, "SOURCES", MappingProxyType(small))
