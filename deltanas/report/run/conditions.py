"""How a run was made: command, commit, machine, jail, dates; what was not recorded says so."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from deltanas.records import Run
from deltanas.report.formats import dotted

NOT_RECORDED = "not recorded"
_SHARED = ("machine", "jail", "versions", "llm", "commit")  # what a resumed run may have anew


def conditions(run: Run) -> list[tuple[str, str]]:
    """Return what is to be known to make the run again, by name."""
    meta = run.meta
    command = meta.get("command")
    return [
        ("command", NOT_RECORDED if command is None else shlex.join(["deltanas", *command])),
        ("overrides", _words(meta.get("overrides"))),
        ("commit", _told(meta.get("commit"))),
        ("began", _told(meta.get("began"))),
        ("ended", _told(meta.get("ended"))),
        ("machine", _told(meta.get("machine"))),
        ("jail", _told(meta.get("jail"))),
        ("LLM", _told(meta.get("llm"))),
        ("baselines", _told(meta.get("baselines"))),
        *_resumed(meta),
    ]


def _words(overrides: Any) -> str:
    if overrides is None:
        return NOT_RECORDED
    return shlex.join(overrides) or "none: every setting has its default"


def _resumed(meta: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what was different each time that the run went on."""
    for changes in meta.get("resumed") or ():
        told = "; ".join(f"{key}: {_told(changes[key])}" for key in _SHARED if key in changes)
        yield "went on with", told


def _told(value: Any) -> str:
    if value is None or value == {}:
        return NOT_RECORDED
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text}" for key, text in dotted(value))
    return str(value)
