"""`summary.json`: the figures of a run for programs, written at once or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deltanas.records import UserError
from deltanas.report.names import SUMMARY_KEYS

_TEXTS = ("llm", "dataset", "archive", "protocol")
_COUNTS = ("seed", "attempted", "valid")
_FIGURES = (  # those that comparisons compute with
    "valid_rate",
    "useful_rate",
    "infrastructure_failures",
    "mean_first_epoch_accuracy",
    "best_first_epoch_accuracy",
    "mean_gain",
    "mean_delta_lines",
    "mean_delta_tokens",
    "mean_full_lines",
    "reduction_lines",
    "reduction_tokens",
    "spearman_rho",
    "spearman_low",
    "spearman_high",
    "spearman_n",
    "prompt_tokens",
    "output_tokens",
    "wall_seconds",
    "seconds_start",
    "seconds_baselines",
    "seconds_generate",
    "seconds_screen",
    "seconds_evaluate",
    "seconds_tune",
    "seconds_record",
    "seconds_study",
)


class SummaryError(UserError):
    """A `summary.json` that cannot be used; the message says what is wrong with it."""


def read_summary(path: Path) -> dict[str, Any]:
    """Return the flat keys of a run's `summary.json`; figures that it lacks are None.

    Raises SummaryError when the file is not JSON, when it lacks what identifies and counts a run,
    or when a figure is not a finite number, and OSError when it cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SummaryError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise SummaryError(f"{path.name} holds a {type(found).__name__}; it must hold an object")
    summary = {key: found.get(key) for key in SUMMARY_KEYS}
    faults = list(_faults(summary))
    if faults:
        raise SummaryError(f"{path.name}: {'; '.join(faults)}")
    return summary


def write_summary(path: Path, summary: Mapping[str, object]) -> None:
    """Write the summary as JSON, in the order of its keys.

    The file is replaced as a whole, so a reader or a killed run never sees half of it.
    Raises ValueError for NaN or infinity, which JSON does not have.
    """
    write_text(path, json.dumps(summary, indent=2, allow_nan=False) + "\n")


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


def _faults(summary: Mapping[str, Any]) -> Iterator[str]:
    for key in _TEXTS:
        if not isinstance(summary[key], str):
            yield f"{key} is {summary[key]!r}; it must be a name"
    if not isinstance(summary["ablation"], str | None):
        yield f"ablation is {summary['ablation']!r}; it must be a name or null"
    for key in _COUNTS:
        if not _is_number(summary[key]) or summary[key] != int(summary[key]):
            yield f"{key} is {summary[key]!r}; it must be a whole number"
    for key in _FIGURES:
        if summary[key] is not None and not _is_number(summary[key]):
            yield f"{key} is {summary[key]!r}; it must be a finite number or null"
    counts = [summary["valid"], summary["infrastructure_failures"] or 0, summary["attempted"]]
    if all(map(_is_number, counts)):
        valid, infrastructure, attempted = counts
        if min(counts) < 0 or valid + infrastructure > attempted:
            yield (
                f"{valid} valid and {infrastructure} infrastructure failures"
                f" do not fit {attempted} attempts"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
