"""Bars of a terminal, and a clock that knows when a run is about to end."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from deltanas.report.formats import about

_WITH_BARS, _WITH_LONG_BARS = 76, 98  # columns from which on bars leave their figures whole
_WITH_LEFT = 60  # the same of the time that is left


class Clock(TimeElapsedColumn):
    """The time that passed and, where a task has `ends`, what is left until that moment.

    `ends` is by `time.monotonic`.
    """

    def render(self, task: Task) -> Text:
        """Return `0:01:40` or `0:01:40 about 3 min left`."""
        ends = task.fields.get("ends")
        left = 0.0 if ends is None else ends - time.monotonic()
        passed = super().render(task)
        return passed + Text(f" {about(left)} left") if left > 0 else passed


def bars(console: Console, clock: ProgressColumn) -> Progress:
    """Return bars that vanish at their end, each with steps and a clock; on terminals only."""
    shown: list[ProgressColumn] = [TextColumn("{task.description}")]
    if console.width >= _WITH_BARS:
        long = console.width >= _WITH_LONG_BARS
        shown = [TextColumn("{task.description:<26}"), BarColumn(bar_width=32 if long else 10)]
    return Progress(
        *shown,
        MofNCompleteColumn(),
        clock,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def clock(console: Console) -> ProgressColumn:
    """Return the clock for a console, which is short where there is little room."""
    return Clock() if console.width >= _WITH_LEFT else TimeElapsedColumn()
