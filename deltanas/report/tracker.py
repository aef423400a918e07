"""A view of the run outside its directory, or none.

`run.sqlite` stays the truth; a tracker only shows what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from deltanas.records import Attempt, CycleSummary, Finalist, Summary


class Tracker(Protocol):
    """Shows a run while it goes on. Calls come in this order.

    `finish` comes exactly once, also where the run breaks.
    """

    def start(
        self, run_id: str, name: str, config: Mapping[str, Any], shown: Sequence[Attempt] = ()
    ) -> None:
        """Open the run of an id, with a name for people.

        The configuration is a plain nested mapping. A run that goes on was `shown` before, up to
        these attempts: what is counted goes on from there.
        """
        ...

    def log_cycle(self, summary: CycleSummary) -> None:
        """Show one finished cycle."""
        ...

    def log_row(self, attempt: Attempt) -> None:
        """Show one attempt as it comes."""
        ...

    def log_candidates(self, attempts: Sequence[Attempt]) -> None:
        """Show every attempt of the run, once, at its end."""
        ...

    def log_finalists(self, finalists: Sequence[Finalist]) -> None:
        """Show how finalists did after every epoch, once, at the end."""
        ...

    def log_files(self, report: Path, attempts: Sequence[Attempt]) -> None:
        """Show the report and the source of the best of the attempts, once, at the end."""
        ...

    def finish(self, summary: Summary | None) -> None:
        """Show the summary's flat keys and close the run; None: the run broke off before it."""
        ...


class NullTracker:
    """Shows nothing."""

    def start(
        self, run_id: str, name: str, config: Mapping[str, Any], shown: Sequence[Attempt] = ()
    ) -> None:
        """Do nothing."""

    def log_cycle(self, summary: CycleSummary) -> None:
        """Do nothing."""

    def log_row(self, attempt: Attempt) -> None:
        """Do nothing."""

    def log_candidates(self, attempts: Sequence[Attempt]) -> None:
        """Do nothing."""

    def log_finalists(self, finalists: Sequence[Finalist]) -> None:
        """Do nothing."""

    def log_files(self, report: Path, attempts: Sequence[Attempt]) -> None:
        """Do nothing."""

    def finish(self, summary: Summary | None) -> None:
        """Do nothing."""
