"""Image sets in memory: uint8 images and their labels, split three ways.

The validation split is carved from the training images with the run's seed; the test split is
fixed, so that figures of different runs compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (N, C, S, S)
Labels = NDArray[np.int64]  # (N,), in [0, num_classes)
Split = Literal["train", "val", "test"]

DIGITS_VALIDATION = 300  # of the 1,437 digits that are not in the test split


class DatasetError(ValueError):
    """The image set is unknown, or its files are missing or malformed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """One image set. Raises DatasetError when shapes, types or labels do not fit each other."""

    name: str
    train_images: Images
    train_labels: Labels
    val_images: Images
    val_labels: Labels
    test_images: Images
    test_labels: Labels
    num_classes: int

    def __post_init__(self) -> None:
        shape = self.train_images.shape[1:]
        for split in ("train", "val", "test"):
            images, labels = self.images(split), self.labels(split)
            if images.dtype != np.uint8 or labels.dtype != np.int64:
                raise DatasetError(
                    f"{self.name}/{split}: images are {images.dtype}, labels {labels.dtype}; "
                    "they must be uint8 and int64"
                )
            if images.ndim != 4 or images.shape[2] != images.shape[3] or images.shape[1:] != shape:
                raise DatasetError(
                    f"{self.name}/{split}: images have shape {images.shape}; "
                    "every split must have (N, C, S, S) with the same C and S"
                )
            if not len(images) or labels.shape != (len(images),):
                raise DatasetError(
                    f"{self.name}/{split}: {len(images)} images with labels of shape "
                    f"{labels.shape}; there must be at least one image and one label for each"
                )
            if labels.min() < 0 or labels.max() >= self.num_classes:
                raise DatasetError(
                    f"{self.name}/{split}: labels lie in {labels.min()}..{labels.max()}; "
                    f"they must lie in 0..{self.num_classes - 1}"
                )

    @property
    def channels(self) -> int:
        """Number of colour channels: 1 or 3."""
        return int(self.train_images.shape[1])

    @property
    def image_size(self) -> int:
        """Height and width of the stored images in pixels."""
        return int(self.train_images.shape[2])

    def images(self, split: Split) -> Images:
        """Return the images of one split, (N, C, S, S) uint8."""
        return {"train": self.train_images, "val": self.val_images, "test": self.test_images}[
            split
        ]

    def labels(self, split: Split) -> Labels:
        """Return the labels of one split, (N,) int64."""
        return {"train": self.train_labels, "val": self.val_labels, "test": self.test_labels}[
            split
        ]

    def majority_rate(self, split: Split) -> float:
        """Return the accuracy of always answering the most frequent class of this split."""
        labels = self.labels(split)
        return float(np.bincount(labels).max() / len(labels))


def blank_data(*, image_size: int, channels: int, num_classes: int) -> ImageData:
    """Return one black image per class and split: enough to check whether networks build."""
    images = np.zeros((num_classes, channels, image_size, image_size), np.uint8)
    labels = np.arange(num_classes, dtype=np.int64)
    return ImageData(
        name=f"blank{image_size}x{image_size}x{channels}",
        train_images=images,
        train_labels=labels,
        val_images=images,
        val_labels=labels,
        test_images=images,
        test_labels=labels,
        num_classes=num_classes,
    )


def load_data(name: str, *, seed: int, cache_dir: Path | None = None) -> ImageData:
    """Return the image set of that name, its validation split carved with `seed`.

    `cache_dir` keeps the sets that do not travel inside the package.
    Raises DatasetError for an unknown name.
    """
    if name not in _LOADERS:
        raise DatasetError(f"no image set is called {name!r}; there are: {', '.join(_LOADERS)}")
    return _LOADERS[name](seed, cache_dir)


def stratified_mask(labels: Labels, size: int, seed: int) -> NDArray[np.bool_]:
    """Mark `size` positions, drawn at random so that every class keeps its share to within one."""
    if not 0 < size < len(labels):
        raise DatasetError(f"cannot carve {size} of {len(labels)} images; both parts need one")
    rng = np.random.default_rng(seed)
    share = np.bincount(labels) * size / len(labels)
    quota = np.floor(share).astype(int)
    largest_remainder = np.argsort(quota - share, kind="stable")[: size - quota.sum()]
    quota[largest_remainder] += 1
    mask = np.zeros(len(labels), dtype=np.bool_)
    for label, count in enumerate(quota):
        mask[rng.permutation(np.flatnonzero(labels == label))[:count]] = True
    return mask


def _load_digits(seed: int, _cache_dir: Path | None) -> ImageData:
    """Handwritten digits: 1,797 grey images, 8 x 8, 10 classes; 1,137 train, 300 val, 360 test.

    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998 (CC BY 4.0): its test part, as in scikit-learn's `load_digits` (BSD-3-Clause).
    `digits.npz` holds images (values 0..16), labels, and the mask of the test split, which was
    drawn once, stratified. It travels inside the package, so no cache directory is used.
    """
    with (
        as_file(files("deltanas.evaluate") / "digits.npz") as path,
        np.load(path, allow_pickle=False) as stored,
    ):
        grey = np.rint(stored["images"] * (255 / 16)).astype(np.uint8)[:, None]  # (N, 1, 8, 8)
        labels = stored["labels"].astype(np.int64)
        test = stored["test"]
    images, targets = grey[~test], labels[~test]
    val = stratified_mask(targets, DIGITS_VALIDATION, seed)
    return ImageData(
        name="digits",
        train_images=images[~val],
        train_labels=targets[~val],
        val_images=images[val],
        val_labels=targets[val],
        test_images=grey[test],
        test_labels=labels[test],
        num_classes=10,
    )


_LOADERS: Mapping[str, Callable[[int, Path | None], ImageData]] = {"digits": _load_digits}
