"""How far a run is: what `deltanas-status` shows, from what the run's file holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanas.records import Attempt, FinishedRun, LostRun, Run, Stage, State
from deltanas.report.confirmation import Confirmation, confirmation
from deltanas.report.formats import about, duration, percent, points
from deltanas.report.metrics import first_attempts, is_valid, ratio
from deltanas.report.remaining import Work, asked_in, done_in, seconds_left
from deltanas.report.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

_BLANK = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The figures of a run so far."""

    title: str  # of a job of a sweep, else the name that the run began with
    settings: Mapping[str, str]  # what identifies it: LLM, data set, archive, ablation, seed
    asked: Work
    done: Work
    begun: int  # first attempts of the cycle in hand
    valid: int  # of the first attempts
    distinct: int
    improved: int  # distinct ones that beat their parent under the run's own seed
    best: Attempt | None  # by validation accuracy
    confirmed: Confirmation
    seconds: Mapping[Stage, float]  # of the stages of finished cycles, and of what comes after
    left: float | None  # seconds, an estimate; None: before the first finished cycle
    wall_seconds: float | None  # up to the last finished cycle, or of all


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A run directory as it was looked at."""

    run: FinishedRun | LostRun
    status: Status | None  # None: its file tells nothing

    @property
    def directory(self) -> Path:
        """Where the run lies."""
        return self.run.directory

    @property
    def state(self) -> str:
        """`finished`, or why it is not."""
        return self.run.state.value if isinstance(self.run, LostRun) else "finished"

    @property
    def is_running(self) -> bool:
        """Whether a process is writing it."""
        return isinstance(self.run, LostRun) and self.run.state is State.RUNNING


def status_of(run: Run) -> Status | None:
    """Return how far a run is; None where its file does not tell what it was to do."""
    settings: Any = run.meta.get("config")
    try:
        asked = asked_in(run)
    except (KeyError, TypeError, AttributeError):  # none yet, or not of our making
        return None
    done = done_in(run)
    first, distinct = first_attempts(run.attempts), [row for row in run.attempts if row.distinct]
    sound = [row for row in distinct if not row.degenerate]
    after = {stage: run.meta.get(f"seconds_{stage}") or 0.0 for stage in _ONCE}
    spent = {stage: _spent(run, stage) for stage in Stage if stage not in _ONCE}
    return Status(
        title=run.meta.get("title") or run.meta.get("run_id") or "",
        settings=_identity(settings),
        asked=asked,
        done=done,
        begun=sum(row.cycle == len(run.cycles) for row in first),
        valid=sum(map(is_valid, first)),
        distinct=len(distinct),
        improved=sum((row.gain or 0.0) > 0.0 for row in distinct),
        best=max(sound, key=lambda row: row.proxy_accuracy or 0.0, default=None),
        confirmed=confirmation(run),
        seconds={stage: (after | spent)[stage] for stage in Stage},
        left=0.0 if run.meta.get("finished") else seconds_left(asked, done, run.cycles),
        wall_seconds=run.meta.get("wall_seconds"),
    )


_ONCE = (Stage.start, Stage.confirm, Stage.study)  # stages that are no part of a cycle


def _spent(run: Run, stage: Stage) -> float:
    return math.fsum(cycle.seconds.get(stage, 0.0) for cycle in run.cycles)


def _identity(settings: Mapping[str, object]) -> dict[str, str]:
    """Return the settings of a run's first line; who writes stands for the LLM."""
    found = {}
    for key in ("llm", "dataset", "archive"):
        group = settings.get(key)
        found[key] = str(group.get("name")) if isinstance(group, Mapping) else _BLANK
    proposer = settings.get("proposer")
    writer = proposer.get("name") if isinstance(proposer, Mapping) else proposer
    if writer not in (None, "llm"):
        found["llm"] = str(writer)
    return found | {key: str(settings.get(key)) for key in ("ablation", "seed")}


def print_seen(seen: Sequence[Seen], console: Console) -> None:
    """Print one run in full, or several in a table; then what keeps any from being finished."""
    from deltanas.report.console import say

    if len(seen) == 1 and seen[0].status:
        _print_run(seen[0], seen[0].status, console)
    else:
        _print_runs(seen, console)
    for each in seen:
        if isinstance(each.run, LostRun) and not each.is_running:
            say(console, f"{each.directory}: {each.run.reason}")


def _print_run(seen: Seen, status: Status, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"{status.title}  {seen.state}", style="bold"))
    words = (f"{key}={value}" for key, value in status.settings.items())
    console.print(Text(" ".join(words)))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for title, value in _figures(seen, status):
        table.add_row(Text(title), Text(value, style="bold"))
    print_table(table, console)


def _figures(seen: Seen, status: Status) -> list[tuple[str, str]]:
    asked, done, best, found = status.asked, status.done, status.best, status.confirmed
    cycles = f"{done.cycles} of {asked.cycles}"
    if status.begun and asked.cycles:
        per_cycle = asked.attempts // asked.cycles
        cycles += f", and {status.begun} of {per_cycle} attempts of cycle {done.cycles}"
    valid = f"{status.valid} of {done.attempts} attempts"
    if done.attempts:
        valid += f", {percent(ratio(status.valid, done.attempts))}"
    rows = [
        ("Cycles", cycles),
        ("Valid", valid),
        ("Distinct", str(status.distinct)),
        ("Improved", f"{status.improved} beat their parent under the run's one seed"),
        ("Best", _best(best) if best else "none yet"),
    ]
    if done.confirm and done.confirm < asked.confirm:
        rows.append(("Confirmed", f"{done.confirm} of {asked.confirm} epochs so far"))
    elif done.confirm:
        confirmed = f"{found.improved} of {found.n} beat their parent under every fresh seed"
        if found.best_accuracy is not None:
            confirmed += f"; best {percent(found.best_accuracy)}, test split"
        rows.append(("Confirmed", confirmed))
    if done.study:
        rows.append(("Study", f"{done.study} of {asked.study} finalists"))
    spent = (f"{stage} {duration(spent)}" for stage, spent in status.seconds.items() if spent)
    rows.append(("Time", ", ".join(spent) or _BLANK))
    return rows if seen.state == "finished" else [*rows, ("Time left", _left(seen, status))]


def _best(row: Attempt) -> str:
    gain = f", {points(row.gain)} over {row.parent_id}" if row.gain is not None else ""
    return f"{percent(row.proxy_accuracy)} validation accuracy, {row.attempt_id}{gain}"


def _left(seen: Seen, status: Status) -> str:
    if status.left is None:
        return "not known before the first cycle is finished"
    once = "" if seen.is_running else " once it goes on"
    return f"{about(status.left)}{once}, an estimate from the last cycles"


def _print_runs(seen: Sequence[Seen], console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("run")
    table.add_column("state", no_wrap=True)
    for name in ("cycles", "valid", "distinct", "improved", "best", "time left"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in seen:
        status = each.status
        name = status.title if status else each.directory.name
        table.add_row(Text(name), each.state, *(_cells(each, status) if status else [_BLANK] * 6))
    print_table(table, console)


def _cells(seen: Seen, status: Status) -> list[str]:
    done, best = status.done, status.best
    known = status.left is not None and seen.state != "finished"
    return [
        f"{done.cycles}/{status.asked.cycles}",
        f"{status.valid}/{done.attempts}",
        str(status.distinct),
        str(status.improved),
        percent(best.proxy_accuracy) if best else _BLANK,
        about(status.left or 0.0) if known else _BLANK,
    ]
