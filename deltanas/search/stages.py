"""A stage of a search: one `with` that owns clock and bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from deltanas.records import CycleSummary, Stage
from deltanas.search.clock import Clock


class Bars(Protocol):
    """Shows how far a search is."""

    def begin(self, stage: Stage, title: str, total: int | None = None, done: int = 0) -> None:
        """Show that a stage begins, of `total` steps where they are known, with `done` made."""
        ...

    def advance(self, steps: int = 1) -> None:
        """Show that some steps of the stage are done."""
        ...

    def end_cycle(self, summary: CycleSummary, *, recalled: bool = False) -> None:
        """Show one finished cycle, which may be one that was made before."""
        ...

    def say(self, text: str) -> None:
        """Print one line, which stays."""
        ...


@dataclass(kw_only=True, slots=True)
class Stages:
    """Clock and bar of one search."""

    bars: Bars
    clock: Clock = field(default_factory=Clock)

    @contextmanager
    def show(
        self, stage: Stage, title: str, total: int | None = None, done: int = 0
    ) -> Iterator[Callable[[], None]]:
        """Count and show a stage; yield what tells that a step of it is done."""
        self.bars.begin(stage, title, total, done)
        with self.clock.stage(stage):
            yield self.bars.advance

    def count(self, stage: Stage) -> AbstractContextManager[None]:
        """Count a stage that is too short to be shown."""
        return self.clock.stage(stage)
