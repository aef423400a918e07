"""Who joins the pool when one seed is noise: children are raced against their parents.

A child that looks better than its parent under the search's seed is trained again, as its parent
is, seed by seed, until it is better no longer in the mean or has won. The seed that chose it does
not count: the largest of many single measurements is largely noise. What won joins the pool; how
often it is edited there is a matter of its lower bound (`strength`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from deltanas.config.schema import Config
from deltanas.records import Attempt, Purpose, Slot
from deltanas.search.candidates import Candidates
from deltanas.search.fresh_seeds import FreshSeeds
from deltanas.search.journal import Journal
from deltanas.search.judging import as_baseline
from deltanas.search.memory import Memory


@dataclass(kw_only=True, slots=True)
class Race:
    """Races the children of a cycle; with `confirm.race=0` there is none, and nothing changes."""

    config: Config
    candidates: Candidates
    fresh: FreshSeeds
    memory: Memory
    journal: Journal

    def run(self, cycle: int, slots: Sequence[Slot], rows: Sequence[Attempt]) -> list[Attempt]:
        """Return the rows, those of winners as admitted, after these joined the pool."""
        seeds = self.config.confirm.race
        left = {
            row.attempt_id: (slot, row)
            for slot, row in zip(slots, rows, strict=True)
            if seeds and self.candidates.may_race(slot, row)
        }
        for number in range(seeds):
            entrants = [
                (slot.dataset, one)
                for slot, row in left.values()
                for one in (as_baseline(row, slot.baseline), slot.baseline)
            ]
            title = f"cycle {cycle}: race, seed {number + 1} of {seeds}"
            self.fresh.train(title, Purpose.RACE, entrants, [number])
            for dataset, one in entrants:
                found = self.fresh.raced(dataset, one.baseline_id)
                self.memory.add_fresh(dataset, one.baseline_id, found)
            left = {
                name: (slot, row)
                for name, (slot, row) in left.items()
                if self._looks_better(slot, row, number + 1)
            }
        return [
            self._joined(slot, row) if row.attempt_id in left else row
            for slot, row in zip(slots, rows, strict=True)
        ]

    def _looks_better(self, slot: Slot, row: Attempt, seeds: int) -> bool:
        gains = self.memory.gains(slot.dataset, row.attempt_id, slot.baseline.baseline_id)
        if len(gains) < seeds:
            return False  # one of the two failed under a seed
        return fmean(gains) > 0.0

    def _joined(self, slot: Slot, row: Attempt) -> Attempt:
        """Return the row of a winner, unless one that joined just now is too much like it."""
        if not self.candidates.is_new(slot, row):
            return row
        row = replace(row, admitted=True)
        joins = self.candidates.joining(slot, row)
        self.journal.admit(row, joins)
        self.memory.join(slot, row, joins)
        return row
