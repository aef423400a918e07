"""Where the wall time of a search goes: every moment between two laps belongs to one stage."""

from __future__ import annotations

import time

from deltanas.records import Stage


class Clock:
    """Seconds of wall time by stage; they add up to all that passed, so no cost can hide."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._seconds: dict[Stage, float] = {}

    def lap(self, stage: Stage) -> None:
        """Count what passed since the last lap for a stage."""
        now = time.perf_counter()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._began
        self._began = now

    def take(self) -> dict[Stage, float]:
        """Return the seconds of every stage since they were last taken."""
        taken, self._seconds = self._seconds, {}
        return taken
