"""Image sets: uint8 images and their labels, split three ways.

The validation split is carved from the training images with the run's seed; the test split is
fixed, so that figures of different runs compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deltanas.records import UserError

Images = NDArray[np.uint8]  # (N, C, S, S)
Labels = NDArray[np.int64]  # (N,), in [0, num_classes)
Rows = NDArray[np.int64]  # (N,), positions in an array of images
# what is done, steps so far, steps in all (0: unknown)
ShowProgress = Callable[[str, int, int], None]

_BLOCK = 4096  # images that are looked at together


class Split(StrEnum):
    """What networks are trained on, selected by, and reported on."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class DatasetError(UserError):
    """The image set is unknown, or its files are missing or malformed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """One image set: every image once, and which of them belong to which split.

    The images may be mapped from a file; labels are always in memory, and those of the
    validation and test splits never leave the parent process.
    Raises DatasetError when shapes, types, rows or labels do not fit each other.
    """

    name: str
    pixels: Images  # of all splits, in an order that tells nothing about labels
    train_rows: Rows  # into `pixels`; no row is in two splits
    train_labels: Labels
    val_rows: Rows
    val_labels: Labels
    test_rows: Rows
    test_labels: Labels
    num_classes: int
    mean: tuple[float, ...] | None = None  # of every channel, in 0..255; None: to be measured
    std: tuple[float, ...] | None = None
    state: str = ""  # of files of the user's own: what changes with any of them

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 4 or shape[2] != shape[3]:
            raise DatasetError(
                f"{self.name}: images are {self.pixels.dtype} of shape {shape}; "
                "they must be uint8 of shape (N, C, S, S)"
            )
        for split in Split:
            self._check(split, self.rows(split), self.labels(split))
        times = np.bincount(np.concatenate([self.rows(split) for split in Split]))
        if times.max() > 1:
            raise DatasetError(
                f"{self.name}: {(times > 1).sum()} images are in more than one split; "
                "splits must not overlap"
            )
        for figures in (self.mean, self.std):
            if figures is not None and len(figures) != self.channels:
                raise DatasetError(
                    f"{self.name}: means or deviations of {len(figures)} channels are given; "
                    f"the images have {self.channels}"
                )

    def _check(self, split: Split, rows: Rows, labels: Labels) -> None:
        if rows.dtype != np.int64 or labels.dtype != np.int64:
            raise DatasetError(
                f"{self.name}/{split}: rows are {rows.dtype}, labels {labels.dtype}; "
                "both must be int64"
            )
        if not len(rows) or labels.shape != rows.shape:
            raise DatasetError(
                f"{self.name}/{split}: rows have shape {rows.shape}, labels {labels.shape}; "
                "there must be at least one image and one label for each"
            )
        for what, found, end in (
            ("rows", rows, len(self.pixels)),
            ("labels", labels, self.num_classes),
        ):
            if found.min() < 0 or found.max() >= end:
                raise DatasetError(
                    f"{self.name}/{split}: {what} lie in {found.min()}..{found.max()}; "
                    f"they must lie in 0..{end - 1}"
                )

    @property
    def channels(self) -> int:
        """Number of colour channels: 1 or 3."""
        return int(self.pixels.shape[1])

    @property
    def image_size(self) -> int:
        """Height and width of the stored images in pixels."""
        return int(self.pixels.shape[2])

    def rows(self, split: Split) -> Rows:
        """Return where in `pixels` the images of one split are, (n,) int64."""
        return {
            Split.TRAIN: self.train_rows,
            Split.VAL: self.val_rows,
            Split.TEST: self.test_rows,
        }[split]

    def images(self, split: Split) -> Images:
        """Return a copy of the images of one split, (n, C, S, S) uint8."""
        return self.pixels[self.rows(split)]

    def labels(self, split: Split) -> Labels:
        """Return the labels of one split, (n,) int64."""
        return {
            Split.TRAIN: self.train_labels,
            Split.VAL: self.val_labels,
            Split.TEST: self.test_labels,
        }[split]

    def majority_rate(self, split: Split) -> float:
        """Return the accuracy of always answering the most frequent class of this split."""
        labels = self.labels(split)
        return float(np.bincount(labels).max() / len(labels))

    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and deviation of every channel, in 0..255.

        They are those given, else those of the training split; a channel in which nothing varies
        has deviation 1.
        """
        if self.mean is not None and self.std is not None:
            return self.mean, self.std
        counts = np.zeros((self.channels, 256), np.int64)
        for start in range(0, len(self.train_rows), _BLOCK):
            block = self.pixels[self.train_rows[start : start + _BLOCK]]
            for channel, count in enumerate(counts):
                count += np.bincount(block[:, channel].ravel(), minlength=256)
        values = np.arange(256)
        means = (counts * values).sum(axis=1) / counts.sum(axis=1)
        squares = counts * (values - means[:, None]) ** 2
        deviations = np.sqrt(squares.sum(axis=1) / counts.sum(axis=1))
        deviations[deviations == 0] = 1.0
        return tuple(means.tolist()), tuple(deviations.tolist())


def in_memory(
    name: str,
    parts: Mapping[Split, tuple[Images, Labels]],
    *,
    num_classes: int,
) -> ImageData:
    """Return an image set from the images and labels of every split. Raises DatasetError."""
    shapes = {split: parts[split][0].shape for split in Split}
    if len({shape[1:] for shape in shapes.values()}) > 1:
        raise DatasetError(
            f"{name}: images have the shapes {shapes}; "
            "every split must have (N, C, S, S) with the same C and S"
        )
    ends = np.cumsum([shapes[split][0] for split in Split])
    train, val, test = np.split(np.arange(ends[-1], dtype=np.int64), ends[:-1])
    return ImageData(
        name=name,
        pixels=np.concatenate([parts[split][0] for split in Split]),
        train_rows=train,
        train_labels=parts[Split.TRAIN][1],
        val_rows=val,
        val_labels=parts[Split.VAL][1],
        test_rows=test,
        test_labels=parts[Split.TEST][1],
        num_classes=num_classes,
    )


def blank_data(*, image_size: int, channels: int, num_classes: int) -> ImageData:
    """Return one black image per class and split: enough to check whether networks build."""
    images = np.zeros((num_classes, channels, image_size, image_size), np.uint8)
    labels = np.arange(num_classes, dtype=np.int64)
    return in_memory(
        f"blank{image_size}x{image_size}x{channels}",
        dict.fromkeys(Split, (images, labels)),
        num_classes=num_classes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """What names an image set: any machine that has its files opens the same one from it."""

    name: str
    seed: int  # carves the validation split
    image_size: int | None = None  # pixels that images are stored at; as in `load_data`
    root: str | None = None  # folder with the files of all sets; None: the user's data folder
    channels: int | None = None  # of images of one's own, in class folders under `root`

    def load(self, progress: ShowProgress | None = None) -> ImageData:
        """Return the images, decoded where that was not done before. Raises DatasetError."""
        root = Path(self.root) if self.root else None
        if self.channels and root and self.image_size:
            # these modules build on this one
            from deltanas.evaluate.images.cache import load_source
            from deltanas.evaluate.images.folder import folder_source

            source = folder_source(
                self.name, root, image_size=self.image_size, channels=self.channels
            )
            return load_source(source, seed=self.seed, root=root, progress=progress)
        return load_data(
            self.name, seed=self.seed, image_size=self.image_size, root=root, progress=progress
        )


def load_data(
    name: str,
    *,
    seed: int,
    image_size: int | None = None,
    root: Path | None = None,
    cache_dir: Path | None = None,
    progress: ShowProgress | None = None,
) -> ImageData:
    """Return the image set of that name, its validation split carved with `seed`.

    `image_size` is what images are stored at, in pixels (None: 64 for photographs, else their
    own). `root` is the folder that holds the files of all sets and `cache_dir` that of the
    decoded ones (None: the user's own). Files that are missing are downloaded.
    Raises DatasetError when the name is unknown and when the files cannot be had or read.
    """
    # these modules build on this one
    from deltanas.evaluate.images.cache import load_source
    from deltanas.evaluate.images.digits import load_digits
    from deltanas.evaluate.images.sources import SOURCES

    if name == "digits":
        return load_digits(seed, image_size)
    if name not in SOURCES:
        raise DatasetError(
            f"no image set is called {name!r}; there are: {', '.join(('digits', *SOURCES))}"
        )
    return load_source(
        SOURCES[name],
        seed=seed,
        image_size=image_size,
        root=root,
        cache_dir=cache_dir,
        progress=progress,
    )


def stratified_mask(labels: Labels, size: int, seed: int) -> NDArray[np.bool_]:
    """Mark `size` positions, drawn at random so that every class keeps its share to within one.

    Every position draws one key and the lowest of each class are marked, so that the seed and
    the unmarked labels say next to nothing about the label of a marked position.
    """
    if not 0 < size < len(labels):
        raise DatasetError(f"cannot carve {size} of {len(labels)} images; both parts need one")
    rng = np.random.default_rng(seed)
    share = np.bincount(labels) * size / len(labels)
    quota = np.floor(share).astype(int)
    largest_remainder = np.argsort(quota - share, kind="stable")[: size - quota.sum()]
    quota[largest_remainder] += 1
    keys = rng.permutation(len(labels))
    mask = np.zeros(len(labels), dtype=np.bool_)
    for label, count in enumerate(quota):
        own = np.flatnonzero(labels == label)
        mask[own[np.argsort(keys[own])[:count]]] = True
    return mask
