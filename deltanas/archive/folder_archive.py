"""Networks of the user's own: files in LEMUR's interface, read as text and never imported.

A file may say how its network trains, on one line of its docstring or of a comment:

    recipe {"lr": 0.03, "momentum": 0.9, "batch": 32, "dropout": 0.2}

Keys are the fields of a Recipe. What it leaves out is the commonest of the built-in networks. A
file that `deltanas-export` wrote also names the data set, and on another one its image size,
flips and scaling do not count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from deltanas.archive.base import ArchiveError
from deltanas.archive.builtin_archive import common_recipe
from deltanas.records import SET_BY_DATASET, Baseline, Recipe, Scaling
from deltanas.source import fingerprint, strip_comments

_RECIPE = re.compile(r"^[ \t]*#?[ \t]*recipe:?[ \t]+(\{.*\})[ \t]*$", re.MULTILINE)
_ATTEMPT = re.compile(r"c\d+-s\d+")  # as attempts of a run are called
_NAMED = 5  # refused files at most that one message names

# the sentence that says why a source is no network that may train, or None
Fault = Callable[[str], str | None]


class FolderArchive:
    """The networks of one folder; implements `Archive`."""

    name = "folder"

    def __init__(self, path: Path, own: Mapping[str, int], fault: Fault) -> None:
        """Read the files of a folder; `own` as in `BuiltinArchive`.

        Raises ArchiveError where there is no such folder, or none of its names ends in `.py`.
        """
        if not path.is_dir():
            found = "is a file" if path.exists() else "does not exist"
            raise ArchiveError(f"{path} {found}; archive.path must be a folder of networks")
        files = sorted(file for file in path.glob("*.py") if file.name[0] not in "._")
        if not files:
            raise ArchiveError(f"{path} holds no .py file; archive.path must hold one a network")
        self._path, self._own, self._fault = path, own, fault
        self._texts = {file.stem: file.read_bytes() for file in files}

    def baselines(
        self, *, dataset: str, max_image_size: int | None = None, max_lines: int | None = None
    ) -> list[Baseline]:
        """Return every network that can be used, by name; each is a family of its own.

        Raises ArchiveError where there is none, with the reasons.
        """
        found, refused = self._read(dataset, max_image_size, max_lines)
        if not found:
            rest = len(refused) - _NAMED
            more = f"; and {rest} more" if rest > 0 else ""
            raise ArchiveError(
                f"{self._path} holds no network that can be used: {'; '.join(refused[:_NAMED])}"
                f"{more}"
            )
        return found

    def left_out(
        self, *, dataset: str, max_image_size: int | None = None, max_lines: int | None = None
    ) -> dict[str, int]:
        """Return 1 for every file that is refused, by a sentence with its name."""
        return dict.fromkeys(self._read(dataset, max_image_size, max_lines)[1], 1)

    def _read(
        self, dataset: str, max_image_size: int | None, max_lines: int | None
    ) -> tuple[list[Baseline], list[str]]:
        common = common_recipe(dataset, max_image_size, self._own)
        found: list[Baseline] = []
        refused: list[str] = []
        known: dict[str, str] = {}  # names of files by syntax tree
        called: dict[str, str] = {}  # and by name of the baseline
        for stem, data in self._texts.items():
            try:
                baseline = self._baseline(stem, data, dataset, common)
                _check_limits(baseline, max_image_size, max_lines)
                tree = fingerprint(baseline.code)
                if tree in known:
                    raise ValueError(f"it is the network of {known[tree]}.py")
                if (name := baseline.baseline_id) in called:
                    raise ValueError(f"{called[name]}.py is called {name} too; rename one of them")
            except (ValueError, SyntaxError) as error:
                refused.append(f"{stem}.py: {error}")
                continue
            except RecursionError:
                refused.append(f"{stem}.py: it is nested too deeply to be read")
                continue
            known[tree] = called[name] = stem
            found.append(baseline)
        return found, refused

    def _baseline(self, stem: str, data: bytes, dataset: str, common: Recipe) -> Baseline:
        """Return the network of a file. Raises ValueError, which says what is wrong with it."""
        if not stem.isprintable():
            raise ValueError("its name holds characters that cannot be printed")
        text = data.decode("utf-8-sig")
        if fault := self._fault(text):
            raise ValueError(fault)
        name = f"net-{stem}" if _ATTEMPT.fullmatch(stem) else stem
        return Baseline(
            baseline_id=name,
            family=name,
            code=strip_comments(text),
            recipe=_recipe(text, dataset, common),
        )


def _check_limits(baseline: Baseline, max_image_size: int | None, max_lines: int | None) -> None:
    lines, size = baseline.code.count("\n"), baseline.recipe.image_size
    if max_lines is not None and lines > max_lines:
        raise ValueError(
            f"it has {lines} lines without comments; archive.max_lines is {max_lines}"
        )
    if max_image_size is not None and size > max_image_size:
        raise ValueError(
            f"its recipe asks for images of {size} pixels; archive.max_image_size is"
            f" {max_image_size}"
        )


def _recipe(text: str, dataset: str, common: Recipe) -> Recipe:
    """Return the recipe that a file tells, or the common one. Raises ValueError."""
    lines = _RECIPE.findall(text)
    if not lines:
        return common
    if len(lines) > 1:
        raise ValueError(f"it has {len(lines)} recipes; there must be one at most")
    try:
        told = json.loads(lines[0])
    except ValueError as error:
        raise ValueError(f"its recipe is not JSON: {error}") from error
    if told.pop("dataset", dataset) != dataset:
        told = {key: value for key, value in told.items() if key not in SET_BY_DATASET}
    known = {each.name: each.type for each in fields(Recipe)}
    if unknown := sorted(told.keys() - known):
        raise ValueError(
            f"its recipe has {', '.join(unknown)}; it may have {', '.join(sorted(known))}"
        )
    for key, value in told.items():
        _check(key, value)
    if "scaling" in told:
        told["scaling"] = Scaling(told["scaling"])
    return replace(common, **told)


def _number(value: Any, low: float, high: float, *, whole: bool = False) -> bool:
    kind = int if whole else (int, float)
    return isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high


_RANGES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "lr": (lambda value: _number(value, 1e-12, 1e6), "a number above 0"),
    "momentum": (lambda value: _number(value, 0, 1) and value < 1, "at least 0 and below 1"),
    "batch": (lambda value: _number(value, 1, 2**20, whole=True), "a whole number from 1 on"),
    "image_size": (lambda value: _number(value, 1, 512, whole=True), "1 to 512 pixels"),
    "flip": (lambda value: isinstance(value, bool), "true or false"),
    "dropout": (lambda value: value is None or _number(value, 0, 1), "null, or 0 to 1"),
    "transform": (lambda value: isinstance(value, str), "a name"),
    "scaling": (lambda value: value in list(Scaling), f"one of {', '.join(Scaling)}"),
}


def _check(key: str, value: Any) -> None:
    holds, must = _RANGES[key]
    if not holds(value):
        raise ValueError(f"its recipe has {key} {json.dumps(value)}; it must be {must}")
