"""`summary.json`: the figures of a run for programs, written at once or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def write_summary(path: Path, summary: Mapping[str, object]) -> None:
    """Write the summary as JSON, in the order of its keys.

    The file is replaced as a whole, so a reader or a killed run never sees half of it.
    Raises ValueError for NaN or infinity, which JSON does not have.
    """
    write_text(path, json.dumps(summary, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a UTF-8 text file as a whole; characters that UTF-8 cannot hold become '?'."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("w", encoding="utf-8", errors="replace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
