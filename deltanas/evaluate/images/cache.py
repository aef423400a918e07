"""Image sets decoded once into one file, which every worker maps instead of reading it.

A set is a folder of the cache: `images.npy`, every image of both parts, and the labels of each
part in files of their own, as processes that run candidates map the images and must not see
labels. The images of a part stand in a random order: where torchvision sorts them by class, the
order would tell the labels. Of files that may change, older sets are dropped for a newer one.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from deltanas.evaluate.images.image_data import (
    DatasetError,
    ImageData,
    Images,
    Labels,
    ShowProgress,
    stratified_mask,
)
from deltanas.evaluate.images.source import Dataset, Part, Source

VALIDATION_SHARE = 0.1  # of the official training images
IMAGES = "images.npy"  # (N, C, S, S) uint8: the training images, then the test images
_BLOCK = 512  # images that are decoded together


def load_source(
    source: Source,
    *,
    seed: int,
    image_size: int | None = None,
    root: Path | None = None,
    cache_dir: Path | None = None,
    progress: ShowProgress | None = None,
) -> ImageData:
    """Return an image set from the cache, decoded into it first where it is not there yet.

    Validation is a tenth of the official training images, every class in its share; the test
    split is the official one. Arguments and errors as in `load_data`.
    """
    size = image_size or source.image_size
    root = (root or default_root()).expanduser().absolute()
    folder = (cache_dir or default_cache()) / source.key(size, root)
    if not folder.is_dir():
        _decode(source, root, size, folder, progress or (lambda what, done, total: None))
    pixels, labels = _open(folder, source, size)
    count = len(labels[Part.TRAIN])
    val = stratified_mask(labels[Part.TRAIN], round(VALIDATION_SHARE * count), seed)
    rows = np.arange(len(pixels), dtype=np.int64)
    return ImageData(
        name=source.name,
        pixels=pixels,
        train_rows=rows[:count][~val],
        train_labels=labels[Part.TRAIN][~val],
        val_rows=rows[:count][val],
        val_labels=labels[Part.TRAIN][val],
        test_rows=rows[count:],
        test_labels=labels[Part.TEST],
        num_classes=source.num_classes,
        mean=source.mean and tuple(255 * value for value in source.mean),
        std=source.std and tuple(255 * value for value in source.std),
        state=source.state,
    )


def default_root() -> Path:
    """Return the folder of the files of all sets, unless the configuration names another."""
    return _of_user(platformdirs.user_data_path)


def default_cache() -> Path:
    """Return the folder of the decoded sets."""
    return _of_user(platformdirs.user_cache_path)


def _of_user(folder: Callable[[str], Path]) -> Path:
    """Return our folder in one of the user's. Raises DatasetError where there is no home."""
    try:
        return folder("deltanas") / "datasets"
    except RuntimeError as error:
        raise DatasetError(
            "there is no home directory to keep image sets in; set HOME, or both XDG_DATA_HOME"
            " and XDG_CACHE_HOME"
        ) from error


def _open(folder: Path, source: Source, size: int) -> tuple[Images, dict[Part, Labels]]:
    """Map the images, copy-on-write, and read the labels. Raises DatasetError."""
    try:
        pixels = np.load(folder / IMAGES, mmap_mode="c")
        labels = {part: np.load(folder / f"{part}_labels.npy") for part in Part}
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(
            f"{folder} is damaged ({error}); delete it, and the next run decodes"
            f" {source.title} anew"
        ) from error
    shape = (sum(len(found) for found in labels.values()), source.channels, size, size)
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise DatasetError(
            f"{folder} is damaged: its images are {pixels.dtype} of shape {pixels.shape}; they"
            f" must be uint8 of {shape}. Delete it, and the next run decodes {source.title} anew"
        )
    return pixels, labels


def _decode(source: Source, root: Path, size: int, folder: Path, progress: ShowProgress) -> None:
    """Write one set into the cache; the folder appears under its name only when it is complete."""
    transform = _square(source.channels, size)
    parts = source.open(root, image_size=size, transform=transform, progress=progress)
    shape = (sum(len(dataset) for dataset in parts.values()), source.channels, size, size)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            source.alone(folder.parent, root),
            tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch,
        ):
            if folder.is_dir():
                return  # another process was faster
            new = Path(scratch) / folder.name
            new.mkdir()
            with (new / IMAGES).open("wb") as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for part, dataset in parts.items():
                    labels: list[int] = []
                    damaged = partial(source.damaged, root, size)
                    for images, some in _blocks(dataset, damaged, _order(source, len(dataset))):
                        file.write(images.tobytes())
                        labels += some
                        progress(f"decode {source.title}: {part}", len(labels), len(dataset))
                    np.save(new / f"{part}_labels.npy", np.array(labels, np.int64))
                file.flush()
                os.fsync(file.fileno())
            _publish(new, folder)
            for old in source.older(folder.parent, root):
                with suppress(PermissionError):  # another user's
                    old.rename(Path(scratch) / old.name)  # to go with it, whole
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be written: {error.strerror or error};"
            f" it takes {math.prod(shape) / 1e6:,.0f} MB"
        ) from error


def _order(source: Source, count: int) -> list[int]:
    """Return an order of the images of a part, which no network can repeat.

    A set's own order often tells its classes; one drawn from a known seed could be undone. The
    state of the user's own files is known to nobody who does not see them, and brings the same
    order, and so the same validation images, when they are decoded again.
    """
    seed = int(source.state, 16) if source.state else None
    return [int(place) for place in np.random.default_rng(seed).permutation(count)]


def _blocks(
    dataset: Dataset, damaged: Callable[[str], DatasetError], order: list[int]
) -> Iterator[tuple[Images, list[int]]]:
    """Yield all images, (n, C, S, S), with their labels, in an order."""

    def read(index: int) -> tuple[Images, int]:
        try:
            image, label = dataset[index]
        except (OSError, ValueError, LookupError) as error:
            raise damaged(f"image {index}: {error}") from error
        return image, int(label)

    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes outside the interpreter's lock
        for start in range(0, len(order), _BLOCK):
            images, labels = zip(*pool.map(read, order[start : start + _BLOCK]), strict=True)
            yield np.stack(images), list(labels)


def _square(channels: int, size: int) -> Callable[[Any], Images]:
    """Return what turns a Pillow image into (C, size, size) uint8, as LEMUR's `norm_N` does.

    The shorter side is resized to `size` pixels, bilinear, and the middle is cut out.
    """
    from torchvision.transforms import CenterCrop, Resize

    resize, crop = Resize(size), CenterCrop(size)

    def convert(image: Any) -> Images:
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (size, size):
            image = crop(resize(image))
        return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)

    return convert


def _publish(new: Path, folder: Path) -> None:
    try:
        new.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another run was faster, with the same images
            raise
