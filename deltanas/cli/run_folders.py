"""Run directories on disk: which there are below a path, and what each of them holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import yaml

from deltanas.config.schema import Config
from deltanas.record.lock import is_being_written
from deltanas.record.store import RunStore, RunStoreError
from deltanas.record.summary import SummaryError, read_summary
from deltanas.records import (
    FinishedRun,
    LostRun,
    State,
    Summary,
    UserError,
    resume_line,
)
from deltanas.report.diffs import best_so_far
from deltanas.report.formats import dotted, visible
from deltanas.report.metrics import is_valid

STORE, SUMMARY, OVERRIDES = "run.sqlite", "summary.json", ".hydra/overrides.yaml"
DEPTH = 3  # folders below a path in which runs are looked for: multirun/SWEEP/JOB has two


class RunFolderError(UserError):
    """A path that does not exist or holds no run; the message names every one of them."""


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Return the run directories that the paths are or hold, each once, jobs in their order.

    Raises RunFolderError when a path does not exist, is a file, or holds no run.
    """
    found: dict[Path, Path] = {}  # by their real place: two paths may lead to one run
    faults = []
    for path in paths:
        if not path.is_dir():
            faults.append(f"{path} is {'a file' if path.exists() else 'missing'}")
            continue
        runs = list(_runs_below(path, DEPTH))
        if not runs:
            faults.append(f"{path} holds no run")
        for run in runs:
            found.setdefault(run.resolve(), run)
    if faults:
        raise RunFolderError(
            f"{'; '.join(faults)}. A path must be a run directory (with {SUMMARY}, {STORE} or"
            " .hydra), or a folder of run directories"
        )
    return list(found.values())


def is_run(path: Path) -> bool:
    """Tell whether a directory is a run's, finished or not."""
    if any((path / name).exists() for name in (SUMMARY, STORE, OVERRIDES)):
        return True
    # a job that broke off before it wrote anything
    return path.name.isdigit() and (path.parent / "multirun.yaml").exists()


def _runs_below(path: Path, depth: int) -> Iterator[Path]:
    if is_run(path):
        yield path
    elif depth:
        folders = (child for child in path.iterdir() if child.is_dir())
        for child in sorted(folders, key=_place):
            if not child.name.startswith("."):
                yield from _runs_below(child, depth - 1)


def _place(path: Path) -> tuple[int, str]:
    """Sort job 10 after job 9."""
    return int(path.name) if path.name.isdecimal() else -1, path.name


def read_run(directory: Path) -> FinishedRun | LostRun:
    """Return what a run directory holds; one that is broken or not finished is a LostRun."""
    if is_being_written(directory / STORE):
        return _lost(directory, State.RUNNING, "a process is writing it")
    try:
        summary = _visible_in(read_summary(directory / SUMMARY))
    except FileNotFoundError:
        return _lost(directory, State.UNFINISHED, "it has no summary")
    except (SummaryError, OSError) as error:
        return _lost(directory, State.FAILED, str(error))
    try:
        with RunStore(directory / STORE, read_only=True) as store:
            settings, cycles = _settings(store), tuple(store.cycles())
            finished = is_finished(store.meta("finished"), store.meta("config"), len(cycles))
            best = best_so_far(store.attempts())
    except (RunStoreError, sqlite3.Error):  # the summary stands for itself
        settings, cycles, finished, best = {}, (), True, ()
    if not finished:
        return _lost(directory, State.UNFINISHED, "it was interrupted")
    return FinishedRun(
        directory=directory, summary=summary, settings=settings, cycles=cycles, best_so_far=best
    )


def _visible_in(summary: Summary) -> Summary:
    """Return a summary whose names may be shown anywhere, as it may be of somebody else's run."""
    texts: dict[str, Any] = {
        each.name: visible(text)
        for each in fields(summary)
        if isinstance(text := getattr(summary, each.name), str)
    }
    return replace(summary, **texts)


def is_finished(told: bool | None, config: Mapping[str, Any] | None, cycles: int) -> bool:
    """Tell whether a run with a summary went to its end; an interrupted one has a summary too.

    Where an earlier version did not tell, its cycles do.
    """
    if told is not None:
        return told
    asked: int = (config or {}).get("protocol", {}).get("cycles", 0)
    return cycles >= asked


def _settings(store: RunStore) -> dict[str, str]:
    """Return what decides the figures of a run: its configuration, and what novelty meant.

    Settings that came later than the run have the value that stands for how it was before.
    """
    novelty = {"novelty": {"definition": store.meta("novelty")}} if store.meta("novelty") else {}
    held = dict(dotted(store.meta("config") or {}))
    known = dict(dotted(asdict(Config()))) if held else {}
    found = known | held | dict(dotted(novelty))
    return {visible(key): visible(text) for key, text in found.items()}


def _lost(directory: Path, state: State, reason: str) -> LostRun:
    """Return what is known of a run without figures."""
    settings: dict[str, str] = {}
    attempted = valid = 0
    try:
        with RunStore(directory / STORE, read_only=True) as store:
            settings = _settings(store)
            attempts = store.attempts()
        attempted, valid = len(attempts), sum(map(is_valid, attempts))
    except (RunStoreError, sqlite3.Error) as error:
        if (directory / STORE).exists():
            state, reason = State.FAILED, f"{reason}; {error}"
    if state is State.UNFINISHED and not attempted:
        state, reason = State.FAILED, f"{reason}; it ended before its first attempt"
    elif state is State.UNFINISHED:
        reason = f"it broke off; {resume_line(directory)} goes on with it"
    return LostRun(
        directory=directory,
        state=state,
        reason=reason,
        overrides=_overrides(directory / OVERRIDES),
        settings=settings,
        attempted=attempted,
        valid=valid,
    )


def _overrides(path: Path) -> tuple[str, ...]:
    """Return the overrides that Hydra recorded, or none where they cannot be read."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()
