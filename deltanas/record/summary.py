"""`summary.json`: the figures of a run for programs, written at once or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from deltanas.records import Stage, Summary, UserError

_KINDS: Mapping[str, str] = {each.name: str(each.type) for each in fields(Summary)}


class SummaryError(UserError):
    """A `summary.json` that cannot be used; the message says what is wrong with it."""


def read_summary(path: Path) -> Summary:
    """Return a run's `summary.json`; figures that it lacks are None.

    Raises SummaryError when the file is not JSON, when it lacks what identifies and counts a run,
    or when a figure is not a finite number, and OSError when it cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SummaryError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise SummaryError(f"{path.name} holds a {type(found).__name__}; it must hold an object")
    faults = list(_faults(found))
    if faults:
        raise SummaryError(f"{path.name}: {'; '.join(faults)}")
    return Summary.from_flat({"run_id": "", "cycles": 0, **found})


def write_summary(path: Path, summary: Summary) -> None:
    """Write the summary as JSON, in the order of its keys.

    The file is replaced as a whole, so a reader or a killed run never sees half of it.
    Raises ValueError for NaN or infinity, which JSON does not have.
    """
    write_text(path, json.dumps(summary.flat(), indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a UTF-8 text file as a whole; characters that UTF-8 cannot hold become '?'.

    Raises OSError with the file's name.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:  # a full disk names no file
        unfinished.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def _faults(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with flat keys, by the types of the summary's fields."""
    for key, kind in _KINDS.items():
        value = found.get(key)
        if key in ("run_id", "cycles", "seconds", "verdicts"):
            continue  # older files lack some of these, and nothing computes with them
        if kind == "str" and not isinstance(value, str):
            yield f"{key} is {value!r}; it must be a name"
        elif kind == "str | None" and not isinstance(value, str | None):
            yield f"{key} is {value!r}; it must be a name or null"
        elif kind == "int" and not (_is_number(value) and float(value or 0).is_integer()):
            yield f"{key} is {value!r}; it must be a whole number"
        elif kind.endswith("| None") and kind[0] in "if" and not _is_number(value, or_none=True):
            yield f"{key} is {value!r}; it must be a finite number or null"
    for stage in Stage:
        value = found.get(f"seconds_{stage}")
        if not _is_number(value, or_none=True):
            yield f"seconds_{stage} is {value!r}; it must be a finite number or null"
    counts = [
        found.get("valid"),
        found.get("infrastructure_failures") or 0,
        found.get("attempted"),
    ]
    if all(map(_is_number, counts)):
        valid, infrastructure, attempted = (int(count or 0) for count in counts)
        if min(valid, infrastructure, attempted) < 0 or valid + infrastructure > attempted:
            yield (
                f"{valid} valid and {infrastructure} infrastructure failures"
                f" do not fit {attempted} attempts"
            )


def _is_number(value: object, *, or_none: bool = False) -> bool:
    if value is None:
        return or_none
    return isinstance(value, int | float) and math.isfinite(value)
