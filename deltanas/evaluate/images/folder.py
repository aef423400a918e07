"""Images of one's own: a folder for each class, as torchvision's ImageFolder has it.

Where the root has `train` and `test` folders they are the two parts; `val`, `valid` or
`validation` stands in for a missing `test`. Beside `test` it is left alone, as CelebA's is:
validation is carved off the training images in every set. Where there are class folders only,
about a fifth of each class is the test part: the files with a hash of the name in the lowest
fifth, so that it is the same in every run, on every machine, and keeps its images when more are
added. (A class without any has the lowest one.)

Links are followed. A file to which several lead counts once, where it is met first: training
before test, then in the order of the classes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from deltanas.evaluate.images.image_data import DatasetError
from deltanas.evaluate.images.source import Part, Source, place_of, set_key

TEST_SHARE = 0.2  # of every class, where the folder has no test part
LEAST = 6  # training images, of which one is for validation
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_TRAIN, _TEST, _VALIDATION = "train", "test", ("val", "valid", "validation")
_NAMED = 5  # classes at most that a message names
_NAME, _SHOWN = "folder", 12  # of decoded sets: what begins their name, digits of the state

Files = tuple[tuple[Path, int], ...]  # each with its label


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource(Source):
    """One root with its classes."""

    def key(self, image_size: int, root: Path) -> str:
        """Return the name of the decoded set, which is another one when files change."""
        kind = "grey" if self.channels == 1 else "colour"
        return f"{set_key(_NAME, image_size, root)}-{kind}-{self.state[:_SHOWN]}"

    def alone(self, cache: Path, root: Path) -> AbstractContextManager[Any]:
        """Return the lock of the one process that decodes the images of a root."""
        return FileLock(cache / f".{_NAME}-{place_of(root)}.lock")

    def older(self, cache: Path, root: Path) -> list[Path]:
        """Return the decoded sets of a root, of any size, whose files are not what they were."""
        found = cache.glob(f"{_NAME}-*-{place_of(root)}-*")
        return [each for each in found if not each.name.endswith(f"-{self.state[:_SHOWN]}")]

    def damaged(self, root: Path, image_size: int, reason: str) -> DatasetError:
        """Return the error for a file that cannot be used."""
        return DatasetError(
            f"{reason.rstrip('.')}. Every image of {root} must be readable; mend it or take it"
            " away"
        )


class ImageFiles:
    """A data set of image files, upright and with 8 bits, as Pillow images or transformed."""

    def __init__(self, files: Files, transform: Callable[[Any], Any]) -> None:
        self._files, self._transform = files, transform

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return an image and its label. Raises ValueError, which names the file."""
        path, label = self._files[index]
        return self._transform(_image(path)), label


def folder_source(name: str, root: Path, *, image_size: int, channels: int) -> FolderSource:
    """Return what reads the images under a root.

    Raises DatasetError where it has no classes, or too few images.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise DatasetError(f"{root} {found}; dataset.root must be a folder of class folders")
    classes, parts = _parts(root)
    count = len(parts[Part.TRAIN])
    if count < LEAST:
        raise DatasetError(
            f"{root} has {count} images to train on, and validation takes some of them; there must"
            f" be at least {LEAST}, so add images to its {len(classes)} classes"
        )

    def make(root: Path, part: Part, image_size: int, **options: Any) -> ImageFiles:
        return ImageFiles(parts[part], **options)

    return FolderSource(
        name=name,
        title=f"the images of {root}",
        make=make,
        files=lambda image_size: (),
        origin="",
        image_size=image_size,
        channels=channels,
        num_classes=len(classes),
        counts=None,
        mean=None,
        std=None,
        state=_state(root, parts),
    )


def _parts(root: Path) -> tuple[list[str], Mapping[Part, Files]]:
    """Return the names of the classes, in order, and the files of both parts."""
    folders = _folders(root)
    seen = {os.path.realpath(root), os.path.realpath(root / _TRAIN)}  # files and folders so far
    held_out = next((name for name in (_TEST, *_VALIDATION) if name in folders), None)
    if _TRAIN not in folders:
        if held_out:
            raise DatasetError(f"{root} has a folder {held_out}, and no folder {_TRAIN} beside it")
        classes, files = _training(root, seen)
        return classes, _split(root, classes, files)
    classes, training = _training(root / _TRAIN, seen)
    if held_out is None:
        return classes, _split(root / _TRAIN, classes, training)
    strange = sorted(set(_folders(root / held_out)) - set(classes))
    if strange:
        raise DatasetError(
            f"{root / held_out} has classes that {_TRAIN} has not: {', '.join(strange[:_NAMED])}"
        )
    test = _labelled(root / held_out, classes, seen)
    if not test:
        raise DatasetError(
            f"{root / held_out} has no images that {_TRAIN} has not; it must have some of each"
            " class"
        )
    return classes, {Part.TRAIN: training, Part.TEST: test}


def _training(folder: Path, seen: set[str]) -> tuple[list[str], Files]:
    """Return the class folders of a folder, each with images, and these. Raises DatasetError."""
    classes = _folders(folder)
    if len(classes) < 2:
        raise DatasetError(
            f"{folder} has {len(classes)} class folders; it must have at least 2, each with images"
        )
    files = _labelled(folder, classes, seen)
    filled = {label for _, label in files}
    empty = [name for label, name in enumerate(classes) if label not in filled]
    if empty:
        raise DatasetError(
            f"{folder} has class folders without images: {', '.join(empty[:_NAMED])}; an image is"
            f" a file that ends in {', '.join(SUFFIXES)}, and counts once where links lead to it"
        )
    return classes, files


def _folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, but for hidden ones, in order."""
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _labelled(folder: Path, classes: list[str], seen: set[str]) -> Files:
    return tuple(
        (path, label) for label, name in enumerate(classes) for path in _files(folder / name, seen)
    )


def _files(folder: Path, seen: set[str]) -> Iterator[Path]:
    """Yield the images in a folder and below, in order, but for those that were seen."""
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # links may go round
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if not name.lower().endswith(SUFFIXES) or name.startswith("."):
                continue
            file = os.path.realpath(path) if path.is_symlink() else f"{real}{os.sep}{name}"
            if file not in seen:
                seen.add(file)
                yield path


def _split(root: Path, classes: list[str], files: Files) -> Mapping[Part, Files]:
    """Return the files with `TEST_SHARE` of every class for the test, by the hash of its name."""

    def drawn(path: Path) -> float:
        digest = hashlib.sha256(os.fsencode(path.relative_to(root))).digest()
        return int.from_bytes(digest[:8], "big") / 2**64  # in [0, 1)

    own: list[list[tuple[float, Path]]] = [[] for _ in classes]
    for path, label in files:
        own[label].append((drawn(path), path))
    single = [name for name, found in zip(classes, own, strict=True) if len(found) == 1]
    if single:
        raise DatasetError(
            f"{root} has class folders with a single image: {', '.join(single[:_NAMED])}; there"
            " must be one to train on and one to test with, so add images, or give folders"
            f" {_TRAIN} and {_TEST}"
        )
    test: set[Path] = set()
    for found in map(sorted, own):
        low = sum(share < TEST_SHARE for share, _ in found)
        test.update(path for _, path in found[: min(max(1, low), len(found) - 1)])
    return {
        Part.TRAIN: tuple(one for one in files if one[0] not in test),
        Part.TEST: tuple(one for one in files if one[0] in test),
    }


def _state(root: Path, parts: Mapping[Part, Files]) -> str:
    """Return a hash of all names, sizes and times of change, and of the parts."""
    digest = hashlib.sha256()
    for part, files in parts.items():
        for path, label in files:
            found = path.stat()
            name = os.fsencode(path.relative_to(root))
            digest.update(b"%b %d %d %b\0" % (part.encode(), label, found.st_size, name))
            digest.update(found.st_mtime_ns.to_bytes(16, "big", signed=True))
    return digest.hexdigest()


def _image(path: Path) -> Any:
    """Return an image as people see it: turned as its camera was, with 8 bits a channel."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if image.mode.startswith("I;16"):  # Pillow's own conversion cuts at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"{path} has pixels of 32 bits; they must have 8 or 16")
    return image
