"""One image set on disk: where it belongs, how it gets there, and what reads it."""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

from deltanas.evaluate.images.image_data import DatasetError, ShowProgress


class Part(StrEnum):
    """What a data set's own files are split into."""

    TRAIN = "train"
    TEST = "test"


FORMAT = 2  # of a decoded set; a new number makes every set be decoded anew
SILENCE_S = 30.0  # after which a server that says nothing counts as out of reach
_UNREACHABLE: tuple[type[Exception], ...] = (
    EOFError,
    HTTPException,
    OSError,
    RuntimeError,
    tarfile.TarError,
    zipfile.BadZipFile,
)
_UNREADABLE: tuple[
    type[Exception], ...
] = (  # what torchvision raises on files that are damaged or of another format
    AssertionError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)


class Dataset(Protocol):
    """A data set of torchvision: pairs of an image, as transformed, and a label."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Any, Any]: ...


class Make(Protocol):
    """Makes torchvision's data set of one part from the files under a root."""

    def __call__(self, root: Path, part: Part, image_size: int, **options: Any) -> Dataset:
        """Hand `options`, such as torchvision's `transform` and `download`, to the class."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one image set comes from, and what it must hold."""

    name: str
    title: str
    make: Make
    files: Callable[[int], tuple[str, ...]]  # what must be under the root, by image size
    origin: str  # where the files can be had, ending in how they get into the root
    image_size: int  # pixels, unless the configuration asks for others
    channels: int
    num_classes: int
    counts: Mapping[Part, int] | None  # images; None: as many as there are
    mean: tuple[float, ...] | None  # of every channel, in [0, 1]; None: to be measured
    std: tuple[float, ...] | None
    state: str = ""  # a hash that changes with any file of the user's own; "": there are none

    def key(self, image_size: int, root: Path) -> str:
        """Return the name of the decoded set."""
        return set_key(self.name, image_size, root)

    def alone(self, cache: Path, root: Path) -> AbstractContextManager[Any]:
        """Return what keeps other processes from decoding beside this one; here nothing."""
        return nullcontext()

    def older(self, cache: Path, root: Path) -> list[Path]:
        """Return what the cache holds of files that are not as they were."""
        return []

    def open(
        self,
        root: Path,
        *,
        image_size: int,
        transform: Callable[[Any], Any],
        progress: ShowProgress,
    ) -> dict[Part, Dataset]:
        """Return both parts; what is missing under `root` is downloaded first.

        `transform` is applied to every image as it is read. Raises DatasetError, which says where
        the files belong and how to get them.
        """
        if self.missing(root, image_size):
            self._download(root, image_size, progress)
        parts: dict[Part, Dataset] = {}
        for part in Part:
            try:
                parts[part] = self.make(root, part, image_size, transform=transform)
            except _UNREADABLE as error:
                raise self.damaged(root, image_size, str(error) or type(error).__name__) from error
            found = len(parts[part])
            if self.counts is not None and found != self.counts[part]:
                raise self.damaged(
                    root,
                    image_size,
                    f"the {part} part has {found:,} images; it must have {self.counts[part]:,}",
                )
        return parts

    def missing(self, root: Path, image_size: int) -> list[str]:
        """Return which files and folders are not there, as paths below the root."""
        return [name for name in self.files(image_size) if not (root / name).exists()]

    def damaged(self, root: Path, image_size: int, reason: str) -> DatasetError:
        """Return the error for files that are there and cannot be used."""
        return DatasetError(
            f"{self.title} in {root} cannot be read: {reason.rstrip('.')}.\n"
            f"Delete {', '.join(self.files(image_size))} there, and the next run downloads them"
        )

    def _download(self, root: Path, image_size: int, progress: ShowProgress) -> None:
        progress(f"download {self.title} to {root}", 0, 0)
        try:
            with _impatience():
                for part in Part:
                    self.make(root, part, image_size, download=True)
        except _unreachable() as error:
            reason = " ".join(str(error).split()) or type(error).__name__
        else:
            return
        raise DatasetError(
            f"{self.title} is not in {root}, which lacks"
            f" {', '.join(self.missing(root, image_size)) or 'nothing by name'},"
            f" and cannot be downloaded: {reason.rstrip('.')}.\n"
            f"Get {self.origin} {root}, or name the folder that holds them: dataset.root=FOLDER"
        )


def set_key(name: str, image_size: int, root: Path) -> str:
    """Return the name of a decoded set: other roots may hold other files."""
    return f"{name}-{image_size}px-v{FORMAT}-{place_of(root)}"


def place_of(root: Path) -> str:
    """Return the part of the name of a decoded set that tells its root."""
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:8]


@contextmanager
def _impatience() -> Iterator[None]:
    """Let connections fail after a silence, where the system would wait for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _unreachable() -> tuple[type[Exception], ...]:
    """Return what downloads raise; gdown, loaded by torchvision for CelebA, has its own error."""
    gdown = sys.modules.get("gdown.exceptions")
    return _UNREACHABLE if gdown is None else (*_UNREACHABLE, gdown.FileURLRetrievalError)
