"""The algorithm of arXiv 2605.04903: one stage per line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from deltanas.config.schema import Config
from deltanas.evaluate.executor import Executor
from deltanas.records import Attempt, CycleSummary, Proposal, Slot, Stage
from deltanas.report.metrics import summarise_cycle
from deltanas.search.asking import Asking
from deltanas.search.candidates import Candidates
from deltanas.search.graphs import Tracing
from deltanas.search.jobs import planned
from deltanas.search.journal import Journal
from deltanas.search.lessons import Lessons
from deltanas.search.memory import Memory
from deltanas.search.race import Race
from deltanas.search.slots import SearchError, Slots
from deltanas.search.stages import Stages


@dataclass(kw_only=True, slots=True)
class Search:
    """One search. The journal answers before the machine does, so a run goes on where it was."""

    config: Config
    slots: Slots
    asking: Asking
    candidates: Candidates
    tracing: Tracing
    executor: Executor
    race: Race
    lessons: Lessons
    memory: Memory
    journal: Journal
    stages: Stages

    def cycles(self) -> Iterator[CycleSummary]:
        """Walk the cycles; yield the summary of each when its rows are stored."""
        self.slots.survey()
        for cycle in range(self.config.protocol.cycles):
            recalled = self.journal.cycle(cycle) is not None
            summary = self._cycle(cycle)
            self.stages.bars.end_cycle(summary, recalled=recalled)
            yield summary

    def _cycle(self, cycle: int) -> CycleSummary:
        finished = self.journal.cycle(cycle)
        slots, rows = list[Slot](), list[Attempt]()
        turn = self.slots.choose(cycle)
        while turn:
            if finished and not all(self.journal.row(slot.name) for slot in turn):
                raise SearchError(f"cycle {cycle} is stored as finished, and lacks rows")
            replies = self.asking.replies(turn)
            made = sorted(self._rows(cycle, turn, replies), key=lambda row: row.slot)
            slots, rows = slots + turn, rows + made
            turn = self.asking.repairs(turn, made)
        rows = self.race.run(cycle, slots, rows)
        with self.stages.show(Stage.tune, f"cycle {cycle}: tune"):
            self.lessons.collect(slots, [self.memory.learned(row) for row in rows])
            if finished:
                self.lessons.recall(finished)
            tuned = None if finished else self.lessons.tune(cycle)
        if finished:
            self.stages.clock.book(Stage.record)  # it is recalled, not made
            return finished
        summary = summarise_cycle(
            cycle,
            rows,
            tune_loss_before=tuned.loss_before if tuned else None,
            tune_loss_after=tuned.loss_after if tuned else None,
            adapter_kept=tuned.kept if tuned else None,
            seconds=self.stages.clock.take(),
        )
        self.journal.add_cycle(summary)
        return summary

    def _rows(
        self, cycle: int, slots: Sequence[Slot], replies: Mapping[str, Proposal]
    ) -> Iterator[Attempt]:
        """Yield one row per slot as soon as it is known and stored: set by set, then by slot."""
        rows = {slot.name: row for slot in slots if (row := self.journal.row(slot.name))}
        with self.stages.count(Stage.screen):
            new = [slot for slot in slots if slot.name not in rows]
            outcomes = {
                slot.name: self.candidates.screen(slot, replies[slot.name]) for slot in new
            }
        outcomes, checked = self.tracing.screened(cycle, slots, outcomes, rows)
        with self.stages.count(Stage.screen):
            jobs, sources = planned(self.config, slots, outcomes, rows, self.memory, checked)
        owners = {slot.name: slot.dataset for slot in slots}
        training = {job.job_id for job in jobs}
        untrained = [found for name, found in checked.items() if name not in training]
        order = list(self.memory.pools)  # in which the executor works
        with self.stages.show(Stage.evaluate, f"cycle {cycle}: evaluate", len(jobs)) as advance:
            evaluations = chain(untrained, self.executor.map(jobs))
            for slot in sorted(slots, key=lambda slot: order.index(slot.dataset)):
                row, source = rows.get(slot.name), sources.get(slot.name)
                while source and (slot.dataset, source) not in self.memory.scores:
                    found = next(evaluations)
                    self.memory.add_score(owners[found.job_id], found)
                    advance()
                if row is None:
                    with self.stages.count(Stage.screen):
                        row = self.candidates.row(
                            slot, replies[slot.name], outcomes[slot.name], source
                        )
                    with self.stages.count(Stage.record):
                        self.journal.add_row(row, self.candidates.joining(slot, row))
                yield self._remember(slot, row)

    def _remember(self, slot: Slot, row: Attempt) -> Attempt:
        if row.parent_id != slot.baseline.baseline_id:
            raise SearchError(
                f"{row.attempt_id} is stored as an edit of {row.parent_id}, and this search"
                f" would edit {slot.baseline.baseline_id}; the archive is not what it was"
            )
        self.memory.add_row(slot, row)
        if row.admitted and not self.config.confirm.race:
            self.memory.join(slot, row, self.candidates.joining(slot, row))
        self.slots.selectors[slot.dataset].observe(slot, row)
        return row
