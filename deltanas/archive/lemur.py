"""LEMUR's networks and their training statistics, read from the SQLite file of an import."""

from __future__ import annotations

import re
import sqlite3
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from deltanas.archive.base import ArchiveError
from deltanas.records import Baseline, Recipe, Scaling

VERSION = "2.1.2"  # of nn-dataset; later wheels hold no networks
SCHEMA = 1
FAMILIES = ("ga", "alt", "rl", "rag", "ast", "FractalNet")
INSTALLED = frozenset({"torch", "torchvision", "numpy"}) | sys.stdlib_module_names

REASONS = {
    "duplicate": "another name of the same syntax tree stands for it",
    "interface": "Net with __init__, forward, train_setup and learn is not complete",
    "imports": "it imports packages that are not installed here",
    "transform": "it was trained on randomly changed or oblong images only",
    "hyperparameters": "it reads hyperparameters besides lr, momentum, dropout and batch",
    "image_size": "it was trained on images of other sizes only",
    "lines": "its source is too long",
}
_TRANSFORM = re.compile(r"(norm|echo|complex)(?:_(\d+))?(_flip)?")
_TRIAL_REASONS = ("transform", "hyperparameters", "image_size")


class _Dataset(NamedTuple):
    """One of LEMUR's datasets as a source of recipes."""

    name: str
    native: int | None  # pixels of its images where a transform does not resize; None: not square
    only: int | None = None  # the one image size wanted, pixels


DATASETS: Mapping[str, _Dataset] = {
    "cifar10": _Dataset("cifar-10", 32),
    "cifar100": _Dataset("cifar-100", 32),
    "mnist": _Dataset("mnist", 28),
    "svhn": _Dataset("svhn", 32),
    "imagenette": _Dataset("imagenette", None),
    "celeba": _Dataset("celeba-gender", None),
    # LEMUR has no digits, and networks trained on colour images only often need three channels
    "digits": _Dataset("mnist", 28, only=32),
}

_FIRST_EPOCH = """
    FROM trials JOIN networks USING (network_id) JOIN recipes USING (recipe_id)
    WHERE epoch = 1 AND dataset_id = (
        SELECT dataset_id FROM datasets WHERE task = 'img-classification' AND dataset = ?)
"""
_TRIALS = f"""
    SELECT name, coalesce(duplicate_of, name), accuracy, lr, momentum, batch, dropout, transform,
           prm {_FIRST_EPOCH}
    ORDER BY accuracy DESC, name, trial"""
_BEST = f"""
    SELECT coalesce(duplicate_of, name) AS first, max(accuracy) {_FIRST_EPOCH}
    GROUP BY first ORDER BY first"""
_NETWORKS = """
    SELECT name, lines, interface_ok, imports FROM networks
    WHERE duplicate_of IS NULL ORDER BY name"""
_SOURCES = """
    SELECT name, family, source, lines FROM networks JOIN texts USING (network_id)
    WHERE duplicate_of IS NULL AND lines > 0 ORDER BY name"""


class Network(NamedTuple):
    """One archived network as text."""

    name: str
    family: str
    source: str  # without comments, docstrings and blank lines
    lines: int  # of the source


class LemurArchive:
    """The networks of one import; those with equal syntax trees are one, under the first name."""

    name = "lemur"

    def __init__(self, path: Path | None = None) -> None:
        """Open the import at `path`, else at `default_path()`; errors as `read_meta`."""
        self.path = path or default_path()
        self.meta = read_meta(self.path)

    def baselines(
        self, *, dataset: str, max_image_size: int | None = None, max_lines: int | None = None
    ) -> list[Baseline]:
        """Return every usable network, by name, with its best first-epoch recipe on `dataset`.

        "digits" is not in LEMUR: these are networks trained on MNIST at 32x32 pixels.
        Arguments and errors as in `Archive.baselines`.
        """
        recipes, left_out = self._select(dataset, max_image_size, max_lines)
        if not recipes:
            raise ArchiveError(
                f"{self.path} holds no baseline for {dataset!r} with images up to"
                f" {max_image_size} pixels and {max_lines} lines; left out: {left_out}"
            )
        return [
            Baseline(baseline_id=name, family=family, code=_text(blob), recipe=recipes[name])
            for name, family, blob, _ in self._rows(_SOURCES)
            if name in recipes
        ]

    def left_out(
        self, *, dataset: str, max_image_size: int | None = None, max_lines: int | None = None
    ) -> dict[str, int]:
        """Return how many networks that LEMUR trained on `dataset` are no baselines, by reason.

        The keys are those of `REASONS`; a network counts once, under the first that holds.
        """
        return self._select(dataset, max_image_size, max_lines)[1]

    def all_networks(self) -> Iterator[Network]:
        """Yield every network that parses, whatever its task, by name."""
        for name, family, blob, lines in self._rows(_SOURCES):
            yield Network(name, family, _text(blob), lines)

    def best_epoch1(self, dataset: str) -> dict[str, float]:
        """Return each network's best accuracy after one epoch on `dataset`, over all its trials.

        For "digits", on which LEMUR trained nothing, these are the accuracies on MNIST.
        """
        return dict(self._rows(_BEST, _source(dataset).name))

    def _select(
        self, dataset: str, max_image_size: int | None, max_lines: int | None
    ) -> tuple[dict[str, Recipe], dict[str, int]]:
        """Return the recipe of every usable network, and how many others each reason left out."""
        recipes: dict[str, Recipe] = {}
        nearest: dict[str, int] = {}  # how many conditions the best trial of a network meets
        names: set[str] = set()
        source = _source(dataset)
        for name, first, _, *trial in self._rows(_TRIALS, source.name):
            names.add(name)
            if first in recipes:
                continue  # by a better trial
            recipe = _recipe(source, max_image_size, *trial)
            if isinstance(recipe, Recipe):
                recipes[first] = recipe
            else:
                nearest[first] = max(nearest.get(first, 0), _TRIAL_REASONS.index(recipe))
        tried = recipes.keys() | nearest.keys()
        left_out = dict.fromkeys(REASONS, 0) | {"duplicate": len(names) - len(tried)}
        for name, lines, interface_ok, imports in self._rows(_NETWORKS):
            if name not in tried:
                continue
            if not interface_ok:
                reason = "interface"
            elif not INSTALLED.issuperset(imports.split()):
                reason = "imports"
            elif name not in recipes:
                reason = _TRIAL_REASONS[nearest[name]]
            elif max_lines is not None and lines > max_lines:
                reason = "lines"
            else:
                continue
            left_out[reason] += 1
            recipes.pop(name, None)
        return recipes, left_out

    def _rows(self, query: str, *values: object) -> list[Any]:
        with closing(_connect(self.path)) as connection:
            return connection.execute(query, values).fetchall()


def default_path() -> Path:
    """Return where the import is kept unless the configuration says otherwise.

    Raises ArchiveError where there is no home directory.
    """
    try:
        folder = Path(platformdirs.user_cache_dir("deltanas"))
    except RuntimeError as error:
        raise ArchiveError(
            "there is no home directory to keep the LEMUR archive in; set HOME, or name the file:"
            " archive.path=FILE for a search, --path FILE for deltanas-lemur"
        ) from error
    return folder / f"lemur-{VERSION}.sqlite"


def family_of(name: str) -> str:
    """Return the family of a LEMUR network: the prefix of a generated one, "named" for others."""
    prefix = name.partition("-")[0]
    return prefix if prefix in FAMILIES else "named"


def read_meta(path: Path) -> dict[str, str]:
    """Return the `meta` table of an import: version, counts, schema.

    Raises ArchiveError when the file is missing, no SQLite file, or of another schema.
    """
    if not path.is_file():
        raise ArchiveError(f"no LEMUR archive at {path}; `deltanas-lemur fetch` brings it")
    try:
        with closing(_connect(path)) as connection:
            meta = {key: str(value) for key, value in connection.execute("SELECT * FROM meta")}
    except sqlite3.DatabaseError as error:
        raise ArchiveError(
            f"{path} is no LEMUR archive ({error}); `deltanas-lemur fetch` makes it anew"
        ) from error
    if meta.get("schema") != str(SCHEMA):
        raise ArchiveError(
            f"{path} has schema {meta.get('schema')}; it must be {SCHEMA}:"
            " `deltanas-lemur fetch` makes it anew"
        )
    return meta


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def _text(blob: bytes) -> str:
    return zlib.decompress(blob).decode()


def _source(dataset: str) -> _Dataset:
    if dataset not in DATASETS:
        raise ArchiveError(
            f"LEMUR has no baselines for dataset {dataset!r}; it has some for"
            f" {', '.join(DATASETS)}"
        )
    return DATASETS[dataset]


def _recipe(
    source: _Dataset,
    max_image_size: int | None,
    lr: float | None,
    momentum: float | None,
    batch: int | None,
    dropout: float | None,
    transform: str,
    prm: str | None,
) -> Recipe | str:
    """Return one trial as a recipe, or the reason of `_TRIAL_REASONS` why it is none."""
    match = _TRANSFORM.fullmatch(transform)
    size = int(match[2] or 0) or source.native if match else None
    if match is None or size is None:
        return "transform"
    if prm is not None or lr is None or momentum is None or batch is None:
        return "hyperparameters"
    if (max_image_size is not None and size > max_image_size) or source.only not in (None, size):
        return "image_size"
    return Recipe(
        lr=lr,
        momentum=momentum,
        batch=batch,
        image_size=size,
        flip=match[3] is not None,
        dropout=dropout,
        transform=transform,
        scaling=Scaling(match[1]),
    )
