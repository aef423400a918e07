"""How long a run still takes: an estimate from what its last cycles took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deltanas.records import CycleSummary, Purpose, Run, Stage
from deltanas.report.confirmation import stage_networks
from deltanas.report.metrics import first_attempts

_RECENT = 3  # cycles that an estimate rests on; the first one scores baselines for all


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run is to do, or has done."""

    cycles: int = 0
    attempts: int = 0  # repairs are none
    confirm: int = 0  # epochs under fresh seeds after the search; of what is to do, at most
    study: int = 0  # finalists trained, and trained again
    epochs: int = 0  # of each of them


def asked_of(settings: Mapping[str, Any]) -> Work:
    """Return what a run is to do by its configuration, as plain nested values.

    Raises KeyError, TypeError or AttributeError where that is no configuration.
    """
    protocol, confirm = settings["protocol"], settings.get("confirm", {})
    sets = len(settings.get("dataset", {}).get("members", {})) or 1
    attempts = protocol["cycles"] * protocol["candidates"]
    sample, best = min(confirm.get("sample", 0), attempts), sets * confirm.get("best", 0)
    networks = 2 * sample + 3 * best  # with their parents; and as many baselines as best
    return Work(
        cycles=protocol["cycles"],
        attempts=attempts,
        confirm=networks * confirm.get("seeds", 0),
        study=protocol["finalists"] + protocol.get("finalist_repeats", 0),
        epochs=protocol["finalist_epochs"],
    )


def asked_in(run: Run) -> Work:
    """Return what a run is to do; what it confirms exactly, once it has chosen that.

    Errors as in `asked_of`.
    """
    settings: Any = run.meta.get("config")
    asked = asked_of(settings)
    if not run.meta.get("confirm"):
        return asked
    return replace(asked, confirm=len(stage_networks(run)) * settings["confirm"]["seeds"])


def done_in(run: Run) -> Work:
    """Return what a run has done."""
    return Work(
        cycles=len(run.cycles),
        attempts=len(first_attempts(run.attempts)),
        confirm=sum(again.purpose is Purpose.CONFIRM for again in run.retrainings),
        study=len(run.finalists) + len(run.repeats),
    )


def seconds_left(asked: Work, done: Work, cycles: Sequence[CycleSummary]) -> float | None:
    """Return the wall time that is left by the last finished cycles; None before the first.

    What comes after the search is counted in epochs, each at what one candidate took to evaluate,
    which is more than an epoch of a finalist takes.
    """
    recent = cycles[-_RECENT:]
    attempted = sum(cycle.attempted for cycle in recent)
    if not attempted:
        return None
    spent = math.fsum(math.fsum(cycle.seconds.values()) for cycle in recent)
    trained = math.fsum(cycle.seconds.get(Stage.evaluate, 0.0) for cycle in recent)
    epoch = trained / (sum(cycle.valid for cycle in recent) or attempted)
    epochs = asked.epochs * (asked.study - done.study)
    if not done.study:  # else all that was to be confirmed is
        epochs += max(0, asked.confirm - done.confirm)
    return spent / attempted * (asked.attempts - done.attempts) + epoch * epochs
