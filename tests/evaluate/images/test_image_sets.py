"""The six image sets, in miniature but in their real files, through torchvision's real classes."""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from deltanas.evaluate import DatasetError, ImageData, load_data
from deltanas.evaluate.images import sources
from deltanas.evaluate.images.image_data import Split
from deltanas.evaluate.images.source import Source
from deltanas.evaluate.images.sources import SOURCES, imagenette_folder
from tests.evaluate.images.miniatures import (
    COUNTS,
    TEST,
    TRAIN,
    WRITERS,
    level,
    patch_sources,
    without_checksums,
    write_imagenette,
)

SIZES = {"cifar10": 32, "cifar100": 32, "mnist": 28, "svhn": 32, "imagenette": 64, "celeba": 64}
CLASSES = {"cifar100": 100, "celeba": 2}
Load = Callable[..., ImageData]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that loads a miniature, written on its first call."""
    without_checksums(monkeypatch)
    patch_sources(monkeypatch, COUNTS)

    def do(name: str, **options: Any) -> ImageData:
        root = tmp_path / name
        if not root.exists():
            WRITERS[name](root)
        return load_data(
            name, **{"seed": 7, "root": root, "cache_dir": tmp_path / "cache", **options}
        )

    return do


@pytest.mark.parametrize("name", WRITERS)
def test_every_image_keeps_its_label(name: str, load: Load) -> None:
    data = load(name)
    classes = CLASSES.get(name, 10)
    channels = 1 if name == "mnist" else 3
    assert data.pixels.shape == (TRAIN + TEST, channels, SIZES[name], SIZES[name])
    assert (data.name, data.num_classes) == (name, classes)
    assert [len(data.labels(split)) for split in Split] == [TRAIN - 4, 4, TEST]
    for split in Split:
        levels = np.array([level(label) for label in data.labels(split)])
        images = data.images(split).astype(int)
        assert (abs(images - levels[:, None, None, None]) <= 2).all()  # JPEG rounds
    official = np.concatenate([data.labels("train"), data.labels("val")])
    used = min(classes, 10)
    assert np.bincount(official).tolist() == [TRAIN // used] * used
    assert np.bincount(data.labels("test")).tolist() == [TEST // used] * used


@pytest.mark.parametrize("name", WRITERS)
def test_normalisation_is_lemurs(name: str, load: Load) -> None:
    mean, std = load(name).channel_statistics()
    first = {
        "cifar10": (0.4914, 0.2470),
        "cifar100": (0.5071, 0.2675),
        "mnist": (0.1307, 0.3081),
        "svhn": (0.4377, 0.1980),
        "imagenette": (0.485, 0.229),
        "celeba": (0.485, 0.229),
    }[name]
    assert (mean[0] / 255, std[0] / 255) == pytest.approx(first)
    assert len(mean) == len(std) == (1 if name == "mnist" else 3)


def test_a_set_is_decoded_once_and_then_mapped(load: Load, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    first = load("mnist", progress=lambda *step: told.append(step))
    assert told[-1] == ("decode MNIST: test", TEST, TEST)
    (tmp_path / "mnist" / "MNIST").rename(tmp_path / "gone")
    told.clear()
    again = load("mnist", progress=lambda *step: told.append(step))
    assert told == []
    assert isinstance(again.pixels, np.memmap)
    np.testing.assert_array_equal(again.pixels, first.pixels)
    again.pixels[:] = 0  # reaches neither the file nor others
    np.testing.assert_array_equal(load("mnist").pixels, first.pixels)


def test_other_sizes_and_other_folders_are_decoded_apart(load: Load, tmp_path: Path) -> None:
    assert load("cifar10", image_size=16).image_size == 16
    assert load("cifar10").image_size == 32
    shutil.copytree(tmp_path / "cifar10", tmp_path / "copy")
    load("cifar10", root=tmp_path / "copy")
    names = sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / "cache").iterdir())
    assert names == ["cifar10-16px-v2", "cifar10-32px-v2", "cifar10-32px-v2"]


def test_the_seed_moves_validation_within_the_official_training_images(load: Load) -> None:
    first, other, again = load("cifar10"), load("cifar10", seed=8), load("cifar10")
    np.testing.assert_array_equal(first.test_rows, np.arange(TRAIN, TRAIN + TEST))
    np.testing.assert_array_equal(other.test_rows, first.test_rows)
    assert set(first.val_rows) != set(other.val_rows)
    np.testing.assert_array_equal(again.val_rows, first.val_rows)
    both = np.concatenate([first.train_rows, first.val_rows])
    assert sorted(both) == list(range(TRAIN))


def test_the_order_of_the_images_does_not_tell_their_labels(load: Load) -> None:
    data = load("imagenette")  # torchvision lists it class by class
    for split in ("train", "test"):  # four validation images may be in order by chance
        assert (np.diff(data.labels(split)) < 0).any()


def test_photographs_are_squared_as_lemur_does_it(load: Load, tmp_path: Path) -> None:
    load("imagenette")
    rng = np.random.default_rng(0)
    photograph = Image.fromarray(rng.integers(0, 256, (36, 48, 3), np.uint8))
    shutil.rmtree(tmp_path / "cache")
    for path in (tmp_path / "imagenette").rglob("*.JPEG"):
        photograph.save(path, "JPEG")
    data = load("imagenette", image_size=20)
    (stored,) = {image.tobytes() for image in data.pixels}
    with Image.open(path) as image:
        lemur = transforms.Compose([transforms.Resize(20), transforms.CenterCrop(20)])(image)
    assert stored == np.asarray(lemur).transpose(2, 0, 1).tobytes()


@pytest.mark.parametrize(
    ("image_size", "folder"),
    [(64, "imagenette2-160"), (161, "imagenette2-320"), (321, "imagenette2")],
)
def test_imagenette_comes_in_the_smallest_edition_that_is_large_enough(
    image_size: int, folder: str, load: Load, tmp_path: Path
) -> None:
    assert imagenette_folder(image_size) == folder
    write_imagenette(tmp_path / "imagenette", folder)
    assert load("imagenette", image_size=image_size).image_size == image_size


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cifar10",
            r"lacks cifar-10-batches-py/data_batch_1, .*: .*unplugged.*\n.*cifar-10-python",
        ),
        ("cifar100", r"lacks cifar-100-python/train, .*unplugged.*\n.*cifar-100-python\.tar\.gz"),
        ("mnist", r"lacks MNIST/raw/train-images-idx3-ubyte, .*unplugged.*\n.*/mnist/"),
        ("svhn", r"lacks train_32x32\.mat, test_32x32\.mat, .*unplugged.*\n.*housenumbers"),
        ("imagenette", r"lacks imagenette2-160, .*unplugged.*\n.*its \.tgz from"),
        ("celeba", r"lacks celeba/img_align_celeba, .*'gdown' is required.*\nGet gdown \(pip "),
    ],
)
def test_without_a_network_the_message_says_what_belongs_where(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unplugged(*_: object, **__: object) -> None:
        raise URLError("unplugged")

    monkeypatch.setattr(urllib.request, "urlopen", unplugged)
    told: list[tuple[str, int, int]] = []
    root = tmp_path / "files"
    with pytest.raises(DatasetError, match=message) as caught:
        load_data(
            name, seed=0, root=root, cache_dir=tmp_path, progress=lambda *step: told.append(step)
        )
    assert f" in {root}" in str(caught.value)
    assert "dataset.root=FOLDER" in str(caught.value)
    assert told == [(f"download {SOURCES[name].title} to {root}", 0, 0)]


def test_what_is_missing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source: Source = SOURCES["mnist"]

    def make(root: Path, *arguments: Any, **options: Any) -> Any:
        if options.pop("download", False) and not root.exists():
            WRITERS["mnist"](root)
        return source.make(root, *arguments, **options)

    fake = replace(source, make=make, counts=COUNTS)
    monkeypatch.setattr(sources, "SOURCES", {"mnist": fake})
    data = load_data("mnist", seed=0, root=tmp_path / "files", cache_dir=tmp_path / "cache")
    assert len(data.test_labels) == TEST


def spoil_checksum(root: Path) -> None:
    WRITERS["cifar10"](root)


def spoil_size(root: Path) -> None:
    WRITERS["mnist"](root)
    path = root / "MNIST/raw/t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])


def spoil_photograph(root: Path) -> None:
    WRITERS["imagenette"](root)
    path = next((root / "imagenette2-160/val").rglob("*.JPEG"))
    path.write_bytes(path.read_bytes()[:300])


def spoil_class(root: Path) -> None:
    WRITERS["imagenette"](root)
    shutil.rmtree(root / "imagenette2-160/val")
    (root / "imagenette2-160/val").mkdir()


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        ("cifar10", spoil_checksum, r"Dataset not found or corrupted.*\nDelete cifar-10-batches"),
        ("mnist", spoil_size, r"invalid for input of size 7839\.\nDelete MNIST/raw/train-"),
        ("imagenette", spoil_photograph, r"image \d: .*runcated.*\nDelete imagenette2-160 there"),
        ("imagenette", spoil_class, r"find any class folder in .*\nDelete imagenette2-160 there"),
    ],
)
def test_damaged_files_are_named_and_nothing_is_cached(
    name: str,
    spoil: Callable[[Path], None],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patch_sources(monkeypatch, COUNTS)
    root, cache = tmp_path / "files", tmp_path / "cache"
    spoil(root)
    with pytest.raises(DatasetError, match=f"in {root} cannot be read: .*{reason}"):
        load_data(name, seed=0, root=root, cache_dir=cache)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_set_with_missing_images_is_refused(tmp_path: Path) -> None:
    WRITERS["mnist"](tmp_path)
    message = "the train part has 40 images; it must have 60,000"
    with pytest.raises(DatasetError, match=message):
        load_data("mnist", seed=0, root=tmp_path, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("file", ["images.npy", "test_labels.npy"])
def test_a_damaged_cache_says_what_to_delete(file: str, load: Load, tmp_path: Path) -> None:
    load("mnist")
    (folder,) = (tmp_path / "cache").iterdir()
    content = (folder / file).read_bytes()
    for damage in (content[:-1], b"", None):
        (folder / file).unlink()
        if damage is not None:
            (folder / file).write_bytes(damage)
        with pytest.raises(DatasetError, match=f"{folder} is damaged .*; delete it"):
            load("mnist")
        (folder / file).write_bytes(content)


def test_labels_of_another_set_are_noticed(load: Load, tmp_path: Path) -> None:
    load("mnist")
    (folder,) = (tmp_path / "cache").iterdir()
    np.save(folder / "test_labels.npy", np.zeros(3, np.int64))
    with pytest.raises(DatasetError, match=r"images are uint8 of shape \(50, 1, 28, 28\); they"):
        load("mnist")


def test_a_cache_that_cannot_be_written_says_how_much_room_it_takes(
    load: Load, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DatasetError, match=r"cache/mnist-28px-v2-\w+ cannot be written: .*0 MB"):
        load("mnist")
