"""Where the wall time of a search goes: every moment belongs to one stage."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deltanas.records import Stage


class Clock:
    """Seconds of wall time by stage; they add up to all that passed, so no cost can hide.

    A stage inside another interrupts it, and what passes outside of all counts as `record`.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._open = [Stage.record]
        self._seconds: dict[Stage, float] = {}

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Count what passes inside for a stage."""
        self._lap()
        self._open.append(stage)
        try:
            yield
        finally:
            self._lap()
            self._open.pop()

    def take(self) -> dict[Stage, float]:
        """Return the seconds of every stage since they were last taken."""
        self._lap()
        taken, self._seconds = self._seconds, {}
        return taken

    def book(self, stage: Stage) -> None:
        """Count what was not taken yet for one stage."""
        self._seconds = {stage: math.fsum(self.take().values())}

    def _lap(self) -> None:
        now = time.perf_counter()
        stage = self._open[-1]
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._began
        self._began = now
