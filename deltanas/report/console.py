"""What a run says on the terminal: live progress while it goes on, and a table at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from deltanas.records import CycleSummary, Stage, Summary
from deltanas.report.formats import about, decimal, duration, percent, points
from deltanas.report.headline import headline, stages
from deltanas.report.remaining import Work, seconds_left
from deltanas.report.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T", int, float)

_BLANK = "–"  # stands in tables for what was not measured


def say(console: Console, line: str) -> None:
    """Print one line as it is, however long."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


class CycleProgress:
    """Live progress of a search: one bar for the cycles and one for the stage in hand.

    On a terminal the bars move in place and vanish at the end. Elsewhere there are no bars, only
    one line for every finished cycle, for what comes after the search, and whatever `say` is told,
    so log files stay short. Both say how much time is left, by an estimate.
    """

    def __init__(self, console: Console, asked: Work) -> None:
        """Prepare for what a run is to do."""
        from deltanas.report.bars import bars, clock

        self._console = console
        self._asked, self._done = asked, Work()
        self._finished: list[CycleSummary] = []
        self._in_hand: Stage | None = None
        self._began, self._made = 0.0, 0  # the stage in hand: its time, and steps since
        self._progress = bars(console, clock(console))
        self._cycles = self._progress.add_task("search, cycles", total=asked.cycles)
        self._stage = self._progress.add_task("", total=None, visible=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, stage: Stage, title: str, total: int | None = None, done: int = 0) -> None:
        """Show that a stage begins, such as `cycle 2: evaluate`.

        It has `total` steps, where that is known, and `done` of them were made before.
        """
        self._in_hand, self._began, self._made = stage, time.monotonic(), 0
        self._progress.reset(self._stage, total=total, description=title, visible=True)
        if stage is Stage.confirm and total is not None:
            self._asked = replace(self._asked, confirm=total)
        self._book(done)
        if stage in (Stage.confirm, Stage.study) and total and not self._console.is_terminal:
            self.say(f"{title}: {total - done} trainings to do{self._left()}")

    def advance(self, steps: int = 1) -> None:
        """Show that some steps of the stage are done."""
        self._made += steps
        self._book(steps)

    def _book(self, steps: int) -> None:
        self._progress.advance(self._stage, steps)
        if self._in_hand is Stage.confirm:
            self._done = replace(self._done, confirm=self._done.confirm + steps)
        elif self._in_hand is Stage.study:
            self._done = replace(self._done, study=self._done.study + steps)
        else:
            return
        self._estimate()

    def end_cycle(self, summary: CycleSummary, *, recalled: bool = False) -> None:
        """Show one finished cycle in one line, which stays on the screen.

        One that is `recalled` was made before, and tells nothing of the time that is left now.
        """
        self._finished.append(summary)
        attempts = self._done.attempts + summary.attempted
        self._done = replace(self._done, attempts=attempts)
        self._progress.update(self._stage, visible=False)
        self._progress.advance(self._cycles)
        self._estimate()
        self.say(cycle_line(summary) + ("" if recalled else self._left()))

    def say(self, text: str) -> None:
        """Print one line above the bars, which stays on the screen."""
        say(self._console, text)

    def _estimate(self) -> None:
        left = self._seconds_left()
        ends = None if left is None else time.monotonic() + left
        self._progress.update(self._cycles, ends=ends)

    def _seconds_left(self) -> float | None:
        """Return an estimate: by the stage in hand where it tells, else by the last cycles."""
        asked, done = self._asked, self._done
        if self._in_hand not in (Stage.confirm, Stage.study) or not self._made:
            return seconds_left(asked, done, self._finished)
        step = (time.monotonic() - self._began) / self._made
        if self._in_hand is Stage.study:
            return step * (asked.study - done.study)
        after = seconds_left(asked, replace(done, confirm=asked.confirm), self._finished)
        return step * (asked.confirm - done.confirm) + (after or 0.0)

    def _left(self) -> str:
        """Return `; about 3 min left`, or nothing where that is not known or it is the end."""
        left = self._seconds_left()
        return f"; {about(left)} left" if left else ""


class TaskProgress:
    """Live progress of what comes before a search, such as the decoding of images.

    On a terminal a bar moves in place and vanishes; elsewhere every task is one line.
    """

    def __init__(self, console: Console) -> None:
        """Prepare; nothing shows before the first call."""
        from rich.progress import TimeRemainingColumn

        from deltanas.report.bars import bars

        self._console = console
        self._progress = bars(console, TimeRemainingColumn())
        self._bar = self._progress.add_task("", total=None)
        self._task = ""

    def __call__(self, task: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps are done; a task of unknown length, 0, gets a line."""
        counted = total > 0 and self._console.is_terminal
        if task != self._task:
            self._task = task
            self._progress.reset(self._bar, description=task, total=total or None)
            if not counted:
                say(self._console, task)
        if counted:
            self._progress.start()  # not earlier: torchvision draws its own bar of a download
            self._progress.update(self._bar, completed=done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()


def cycle_line(summary: CycleSummary) -> str:
    """Return one cycle in one line: `cycle 2  10/12 valid, 4 useful, accuracy 71.2 %, ...`."""
    parts = [f"{summary.valid}/{summary.attempted} valid", f"{summary.useful} useful"]
    if summary.distinct_valid is not None:
        parts.insert(1, f"{summary.distinct_valid} new")
    if summary.mean_first_epoch_accuracy is not None:
        parts.append(f"mean accuracy {percent(summary.mean_first_epoch_accuracy)}")
    if summary.mean_gain is not None:
        parts.append(f"gain {points(summary.mean_gain)}")
    if summary.mean_delta_lines is not None:
        parts.append(f"{decimal(summary.mean_delta_lines)} lines")
    if summary.tune_loss_after is not None:
        parts.append(f"LoRA loss {_loss(summary)}")
    return f"cycle {summary.cycle}  {', '.join(parts)}"


def print_summary(summary: Summary, cycles: Sequence[CycleSummary], console: Console) -> None:
    """Print a table of the cycles and the headline figures of the summary."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    titles = "cycle valid new useful accuracy best gain lines LoRA-loss"
    for title in titles.split():
        table.add_column(title.replace("-", " "), justify="right", no_wrap=True)
    for cycle in cycles:
        table.add_row(
            str(cycle.cycle),
            f"{cycle.valid}/{cycle.attempted}",
            _or_blank(cycle.distinct_valid, str),
            str(cycle.useful),
            _or_blank(cycle.mean_first_epoch_accuracy, percent),
            _or_blank(cycle.best_first_epoch_accuracy, percent),
            _or_blank(cycle.mean_gain, points),
            _or_blank(cycle.mean_delta_lines, decimal),
            _loss(cycle),
        )
    figures = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    figures.add_column(no_wrap=True)
    figures.add_column(style="bold", no_wrap=True)
    figures.add_column(style="dim")
    for figure in headline(summary):
        figures.add_row(figure.title, figure.value, figure.note)
    times = ", ".join(f"{name} {duration(seconds)}" for name, seconds, _ in stages(summary))
    figures.add_row("Time", duration(summary.wall_seconds), times)
    console.print()
    console.print(Text(f"deltanas  {summary.run_id}", style="bold"))
    for part in (table, figures):
        console.print()
        print_table(part, console)
    console.print()


def _loss(summary: CycleSummary) -> str:
    if summary.tune_loss_before is None or summary.tune_loss_after is None:
        return _BLANK
    end = " undone" if summary.adapter_kept is False else ""
    return f"{summary.tune_loss_before:.3f} → {summary.tune_loss_after:.3f}{end}"


def _or_blank(value: T | None, written: Callable[[T], str]) -> str:
    return _BLANK if value is None else written(value)
