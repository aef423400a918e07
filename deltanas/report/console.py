"""What a run says on the terminal: live progress while it goes on, and a table at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from deltanas.records import CycleSummary, Summary
from deltanas.report.formats import decimal, duration, percent, points
from deltanas.report.headline import headline, stages
from deltanas.report.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

T = TypeVar("T", int, float)

_WITH_BARS = 76  # columns of a terminal from which on bars leave their figures whole
_BLANK = "–"  # stands in tables for what was not measured


def say(console: Console, line: str) -> None:
    """Print one line as it is, however long."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _bars(console: Console, clock: ProgressColumn) -> Progress:
    """Return bars that vanish at their end, each with steps and a clock; on terminals only."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    wide = console.width >= _WITH_BARS
    shown: list[ProgressColumn] = [TextColumn("{task.description:<26}"), BarColumn(bar_width=32)]
    return Progress(
        *(shown if wide else [TextColumn("{task.description}")]),
        MofNCompleteColumn(),
        clock,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class CycleProgress:
    """Live progress of a search: one bar for the cycles and one for the stage in hand.

    On a terminal the bars move in place and vanish at the end. Elsewhere there are no bars, only
    one line for every finished cycle and whatever `say` is told, so log files stay short.
    """

    def __init__(self, console: Console, cycles: int) -> None:
        """Prepare for a number of cycles."""
        from rich.progress import TimeElapsedColumn

        self._console = console
        self._progress = _bars(console, TimeElapsedColumn())
        self._cycles = self._progress.add_task("search, cycles", total=cycles)
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

    def begin(self, stage: str, total: int | None = None) -> None:
        """Show that a stage begins, such as `cycle 2: evaluate`; `total` steps, where known."""
        self._progress.reset(self._stage, total=total, description=stage, visible=True)

    def advance(self, steps: int = 1) -> None:
        """Show that some steps of the stage are done."""
        self._progress.advance(self._stage, steps)

    def end_cycle(self, summary: CycleSummary) -> None:
        """Show one finished cycle in one line, which stays on the screen."""
        self._progress.update(self._stage, visible=False)
        self._progress.advance(self._cycles)
        self.say(cycle_line(summary))

    def say(self, text: str) -> None:
        """Print one line above the bars, which stays on the screen."""
        say(self._console, text)


class TaskProgress:
    """Live progress of what comes before a search, such as the decoding of images.

    On a terminal a bar moves in place and vanishes; elsewhere every task is one line.
    """

    def __init__(self, console: Console) -> None:
        """Prepare; nothing shows before the first call."""
        from rich.progress import TimeRemainingColumn

        self._console = console
        self._progress = _bars(console, TimeRemainingColumn())
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
