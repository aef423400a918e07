"""The LEMUR wheel as it is: read as a zip, parsed, never imported.

Layout: `ab/nn/nn/<network>.py` and
`ab/nn/stat/train/<task>_<dataset>_<metric>_<network>/<epoch>.json`, each a list of trials.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

from deltanas.archive.base import ArchiveError
from deltanas.archive.lemur import VERSION

_NETWORK = re.compile(r"ab/nn/nn/(?!__init__\.py)([^/]+)\.py")
_STATISTICS = re.compile(r"ab/nn/stat/train/([^/_]+)_([^/_]+)_([^/_]+)_([^/]+)/(\d+)\.json")
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_TRANSFORM = re.compile(r"(?:norm|echo)(?:_(\d+))?(_flip)?")


class Statistics(NamedTuple):
    """One file of training statistics: the trials of one network on one dataset at one epoch."""

    task: str
    dataset: str
    metric: str
    network: str
    epoch: int
    file: str


@contextmanager
def opened(wheel: Path) -> Iterator[ZipFile]:
    """Open a wheel of the right version.

    Raises ArchiveError, also later when an entry turns out to be damaged.
    """
    wanted = f"nn-dataset {VERSION}"
    if not wheel.is_file():
        raise ArchiveError(f"{wheel} is not a file; it must be the wheel {wanted}")
    try:
        with ZipFile(wheel) as archive:
            found = _name_and_version(archive)
            if found != wanted:
                raise ArchiveError(f"{wheel} is {found}; it must be the wheel {wanted}")
            yield archive
    except (BadZipFile, zlib.error) as error:
        raise ArchiveError(f"{wheel} is no intact zip ({error}); it must be {wanted}") from error


def _name_and_version(archive: ZipFile) -> str:
    for name in archive.namelist():
        if _METADATA.fullmatch(name):
            text = archive.read(name).decode()
            fields = dict(re.findall(r"^(Name|Version): *(\S+)", text, re.MULTILINE))
            return f"{fields.get('Name')} {fields.get('Version')}".replace("_", "-")
    return "a zip without a wheel's metadata"


def listing(archive: ZipFile) -> tuple[dict[str, str], list[Statistics]]:
    """Return the files of the networks by network, and the statistics, both in order of name."""
    codes: dict[str, str] = {}
    statistics: list[Statistics] = []
    for name in sorted(archive.namelist()):
        if network := _NETWORK.fullmatch(name):
            codes[network[1]] = name
        elif match := _STATISTICS.fullmatch(name):
            statistics.append(
                Statistics(match[1], match[2], match[3], match[4], int(match[5]), name)
            )
    return codes, statistics


def trials(archive: ZipFile, statistics: Statistics) -> list[dict[str, object]]:
    """Return the rows of one file. Raises ArchiveError when it is no list of trials."""
    try:
        rows = json.loads(archive.read(statistics.file))
    except ValueError as error:
        raise ArchiveError(f"{statistics.file} in the wheel is no JSON: {error}") from error
    needed = {"accuracy", "duration", "transform", "uid"}
    if not isinstance(rows, list) or not all(needed <= row.keys() for row in rows):
        raise ArchiveError(f"{statistics.file} must be a list of trials with {sorted(needed)}")
    return rows


def recipe_columns(row: dict[str, object]) -> tuple[object, ...]:
    """Return uid, lr, momentum, batch, dropout, transform, resolution, flip and the rest as JSON.

    Resolution is in pixels, 0 for the dataset's own; it and flip are None for transforms other
    than `norm` and `echo`, whose images are complex or randomly changed.
    """
    rest = dict(row)
    for key in ("accuracy", "duration", "epoch"):
        rest.pop(key, None)
    plain = [rest.pop(key, None) for key in ("uid", "lr", "momentum", "batch", "dropout")]
    transform = str(rest.pop("transform"))
    return (
        *plain,
        transform,
        *_resolution_and_flip(transform),
        json.dumps(rest, sort_keys=True) if rest else None,
    )


@cache
def _resolution_and_flip(transform: str) -> tuple[int | None, bool | None]:
    match = _TRANSFORM.fullmatch(transform)
    return (int(match[1] or 0), match[2] is not None) if match else (None, None)
