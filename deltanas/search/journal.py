"""What a run is known to have done: the journal answers before the machine does.

A run that goes on and a replay are the same search over another journal: the first knows rows,
scores and cycles, the second knows replies only, and there is no LLM behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from deltanas.record.store import RunStore, RunStoreError
from deltanas.records import (
    Attempt,
    Baseline,
    CycleSummary,
    Origin,
    Proposal,
    Purpose,
    Retraining,
    UsedBaseline,
)
from deltanas.search.judging import proposal_of


def is_begun(directory: Path) -> bool:
    """Tell whether a directory holds a run that knows its configuration, so that it can go on."""
    try:
        with RunStore(directory / "run.sqlite", read_only=True) as store:
            return store.meta("config") is not None
    except RunStoreError:
        return False


class Journal(Protocol):
    """Answers with what is known, None where it is not, and takes what was found out."""

    def reply(self, slot: str) -> Proposal | None:
        """Return what was answered for a slot."""
        ...

    def row(self, slot: str) -> Attempt | None:
        """Return what became of a slot."""
        ...

    def baseline(self, dataset: str, name: str) -> UsedBaseline | None:
        """Return how a baseline did on a data set."""
        ...

    def cycle(self, cycle: int) -> CycleSummary | None:
        """Return what a finished cycle came to."""
        ...

    def retraining(
        self, dataset: str, name: str, purpose: Purpose, number: int
    ) -> Retraining | None:
        """Return how a network did under a fresh seed."""
        ...

    def add_row(self, row: Attempt, joins: Baseline | None) -> None:
        """Store a row and, at once with it, the baseline that it becomes."""
        ...

    def admit(self, row: Attempt, joins: Baseline | None) -> None:
        """Store that a stored row won its race; nothing happens where that is known."""
        ...

    def add_retraining(self, again: Retraining) -> None:
        """Store how a network did under a fresh seed."""
        ...

    def add_baseline(self, used: UsedBaseline) -> None:
        """Store how a baseline did, also where it failed, so that nobody tries it again."""
        ...

    def add_cycle(self, summary: CycleSummary) -> None:
        """Store a finished cycle."""
        ...


class RunJournal:
    """The journal of a run's file; what the file held when it was opened is known.

    `on_row` is told every row that is stored.
    """

    def __init__(
        self, store: RunStore, on_row: Callable[[Attempt], None] = lambda row: None
    ) -> None:
        self._store, self._on_row = store, on_row
        self._rows = {row.attempt_id: row for row in store.attempts()}
        self._baselines = {
            (used.dataset, used.baseline.baseline_id): used for used in store.baselines()
        }
        self._cycles = {summary.cycle: summary for summary in store.cycles()}
        self._again = {
            (again.dataset, again.network_id, again.purpose, again.number): again
            for again in store.retrainings()
        }

    def reply(self, slot: str) -> Proposal | None:
        """Return what was answered for a slot."""
        row = self._rows.get(slot)
        return None if row is None else proposal_of(row)

    def row(self, slot: str) -> Attempt | None:
        """Return what became of a slot."""
        return self._rows.get(slot)

    def baseline(self, dataset: str, name: str) -> UsedBaseline | None:
        """Return how a baseline did on a data set."""
        return self._baselines.get((dataset, name))

    def cycle(self, cycle: int) -> CycleSummary | None:
        """Return what a finished cycle came to."""
        return self._cycles.get(cycle)

    def retraining(
        self, dataset: str, name: str, purpose: Purpose, number: int
    ) -> Retraining | None:
        """Return how a network did under a fresh seed."""
        return self._again.get((dataset, name, purpose, number))

    def add_row(self, row: Attempt, joins: Baseline | None) -> None:
        """Store a row and the baseline that it becomes, in one transaction."""
        self._store.append(row, _used(row, joins))
        self._on_row(row)

    def admit(self, row: Attempt, joins: Baseline | None) -> None:
        """Store that a row won its race, and the baseline that it becomes, in one transaction."""
        known = self._rows.get(row.attempt_id)
        if known is None or not known.admitted:
            self._store.admit(row.attempt_id, _used(row, joins))

    def add_retraining(self, again: Retraining) -> None:
        """Store how a network did under a fresh seed."""
        self._store.add_retraining(again)

    def add_baseline(self, used: UsedBaseline) -> None:
        """Store how a baseline did."""
        self._store.add_baseline(used)

    def add_cycle(self, summary: CycleSummary) -> None:
        """Store a finished cycle."""
        self._store.add_cycle(summary)


def _used(row: Attempt, joins: Baseline | None) -> UsedBaseline | None:
    if joins is None:
        return None
    return UsedBaseline(
        baseline=joins,
        dataset=row.dataset,
        origin=Origin.ADMITTED,
        verdict=row.verdict,
        first_epoch_accuracy=row.first_epoch_accuracy,
        graph=row.graph,
    )


class ReplayJournal(RunJournal):
    """The journal of a replay: it knows the replies of another run, by slot, and nothing else."""

    def __init__(self, store: RunStore, replies: Mapping[str, Proposal]) -> None:
        super().__init__(store)
        self._replies = replies

    def reply(self, slot: str) -> Proposal | None:
        """Return what was answered for a slot in the run that is replayed."""
        return self._replies.get(slot)
