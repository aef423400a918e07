"""The algorithm: one stage per line."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deltanas.archive.sampling import sample_baselines
from deltanas.config.schema import Config, Generation, NoveltyGate
from deltanas.evaluate.executor import Executor
from deltanas.evaluate.images.image_data import ImageData
from deltanas.propose.proposer import Proposer
from deltanas.record.store import RunStore, Source
from deltanas.records import (
    Attempt,
    Baseline,
    Candidate,
    CycleSummary,
    Evaluation,
    Job,
    Proposal,
    Recipe,
    Refused,
    Slot,
    UserError,
    Verdict,
    derive_seed,
)
from deltanas.report.console import CycleProgress
from deltanas.report.metrics import summarise_cycle
from deltanas.report.tracker import Tracker
from deltanas.screen.duplicates import Duplicates
from deltanas.screen.gates import refuse_near_duplicate, screen_proposal
from deltanas.screen.novelty import NoveltyIndex
from deltanas.search.clock import Clock
from deltanas.search.judging import attempt_row, evaluation_of, proposal_of
from deltanas.search.lessons import Lessons

Key = tuple[str, str]  # dataset, and the baseline or attempt trained on it


class SearchError(UserError):
    """A search that cannot go on; the message says why and what to do."""


@dataclass(kw_only=True, slots=True)
class Search:
    """One search over its rooms: `cycles` walks them, rows are written as slots are known.

    What the store holds already is taken from there: a run that was killed goes on where it was.
    """

    config: Config
    data: Mapping[str, ImageData]  # by dataset; the slots take turns over them
    gates: Mapping[str, float]  # by dataset: proxy accuracy from which a candidate may join
    pools: dict[str, list[Baseline]]  # by dataset
    proposer: Proposer
    lessons: Lessons  # what the LLM is tuned on
    executor: Executor
    store: RunStore
    tracker: Tracker
    progress: CycleProgress
    novelty: NoveltyIndex
    clock: Clock = field(default_factory=Clock)
    # equal networks share a score where they train on the same dataset in the same way
    known: dict[tuple[str, Recipe], Duplicates] = field(
        default_factory=lambda: defaultdict(Duplicates)
    )
    scores: dict[Key, Evaluation] = field(default_factory=dict)  # of every network trained here
    recorded: dict[str, Attempt] = field(default_factory=dict)  # rows of the run that goes on
    stored: dict[Key, Evaluation] = field(default_factory=dict)  # and the scores of its baselines

    def cycles(self) -> Iterator[CycleSummary]:
        """Walk the cycles; yield the summary of each when its rows are stored."""
        self.recorded = {row.attempt_id: row for row in self.store.attempts()}
        self.stored = {
            (used.dataset, used.baseline.baseline_id): used.score()
            for used in self.store.baselines()
        }
        finished = {summary.cycle: summary for summary in self.store.cycles()}
        for cycle in range(self.config.protocol.cycles):
            if cycle in finished:
                summary = self._recall(cycle, finished[cycle])
            else:
                summary = self._cycle(cycle)
            self.tracker.log_cycle(summary)
            self.progress.end_cycle(summary)
            yield summary

    def _cycle(self, cycle: int) -> CycleSummary:
        self.clock.lap("record")
        slots = self._slots(cycle)
        self.clock.lap("baselines")
        proposals = self._propose(cycle, slots)
        self.clock.lap("generate")
        attempts = sorted(self._attempts(cycle, slots, proposals), key=lambda row: row.slot)
        self.progress.begin(f"cycle {cycle}: tune")
        self.lessons.collect(slots, attempts)
        tuned = self.lessons.tune(cycle)
        self.clock.lap("tune")
        summary = summarise_cycle(
            cycle,
            attempts,
            tune_loss_before=tuned.loss_before if tuned else None,
            tune_loss_after=tuned.loss_after if tuned else None,
            adapter_kept=tuned.kept if tuned else None,
            seconds=self.clock.take(),
        )
        self.store.add_cycle(summary)
        return summary

    def _recall(self, cycle: int, summary: CycleSummary) -> CycleSummary:
        """Bring the search to where a finished cycle left it, without LLM, jail or tuning."""
        slots = self._slots(cycle)
        attempts = [self.recorded[slot.name] for slot in slots]
        for slot, row in zip(slots, attempts, strict=True):
            if row.parent_id != slot.baseline.baseline_id:
                raise SearchError(
                    f"{row.attempt_id} is stored as an edit of {row.parent_id}, and this search"
                    f" would edit {slot.baseline.baseline_id}; the archive is not what it was"
                )
            if not row.reused_from:
                self.scores[slot.dataset, slot.name] = evaluation_of(row)
            self._remember(slot, row)
        self.lessons.collect(slots, attempts)
        self.lessons.recall(summary)
        return summary

    def _slots(self, cycle: int) -> list[Slot]:
        """Return a cycle's slots: the datasets take turns, each with baselines of its own pool."""
        count = self.config.protocol.candidates
        names = list(self.data)
        turns = [names[(cycle * count + number) % len(names)] for number in range(count)]
        waiting = {
            name: iter(self._measured_baselines(cycle, name, turns.count(name)))
            for name in names
            if name in turns
        }
        return [
            Slot(cycle=cycle, number=number, dataset=name, baseline=next(waiting[name]))
            for number, name in enumerate(turns)
        ]

    def _measured_baselines(self, cycle: int, dataset: str, wanted: int) -> list[Baseline]:
        """Return the baselines of a cycle, each with its proxy accuracy under this run's seed."""
        rng = random.Random(derive_seed(self.config.seed, cycle, "baselines", dataset))
        chosen: list[Baseline] = []
        while len(chosen) < wanted:
            pool = self.pools[dataset]
            drawn = sample_baselines(
                pool,
                wanted - len(chosen),
                rng,
                fits=lambda baseline: self.proposer.fits(baseline, dataset),
            )
            self._measure(cycle, dataset, drawn)
            trained = [b for b in drawn if self._proxy(dataset, b.baseline_id) is not None]
            failed = {b.baseline_id for b in drawn} - {b.baseline_id for b in trained}
            self.pools[dataset] = [b for b in pool if b.baseline_id not in failed]
            if not self.pools[dataset]:
                raise SearchError(
                    f"no baseline of the archive trains on {dataset} within the limits of"
                    f" protocol={self.config.protocol.name}; raise protocol.timeout_s or memory_gb"
                )
            chosen += trained
        return [replace(b, proxy_accuracy=self._proxy(dataset, b.baseline_id)) for b in chosen]

    def _measure(self, cycle: int, dataset: str, baselines: Sequence[Baseline]) -> None:
        """Score the baselines that have no score yet, in the jail or from the store."""
        new = {b.baseline_id: b for b in baselines if (dataset, b.baseline_id) not in self.scores}
        scores = {
            name: self.stored[dataset, name] for name in new if (dataset, name) in self.stored
        }
        stored = set(scores)
        jobs = [
            self._job(name, baseline.code, dataset, baseline.recipe)
            for name, baseline in new.items()
            if name not in stored
        ]
        self.progress.begin(f"cycle {cycle}: baselines", len(jobs))
        for evaluation in self.executor.map(jobs):
            if evaluation.overworked:  # no measure for its descendants
                evaluation = Evaluation(job_id=evaluation.job_id, verdict=Verdict.TRAINED)
            scores[evaluation.job_id] = evaluation
            self.progress.advance()
        for name, baseline in new.items():  # in the order drawn, not in that of the workers
            score = self.scores[dataset, name] = scores[name]
            if name not in stored:  # those that failed too, or a resumed run would try them again
                used = replace(baseline, proxy_accuracy=score.proxy_accuracy)
                self.store.add_baseline(used, dataset, Source.ARCHIVE, score.first_epoch_accuracy)
            if score.proxy_accuracy is not None:
                self.known[dataset, baseline.recipe].add(baseline.code, name)
                self.novelty.add(baseline.code, name)

    def _propose(self, cycle: int, slots: Sequence[Slot]) -> list[Proposal]:
        """Return one proposal per slot; rows that are recorded keep the reply they came from."""
        rows = [self.recorded.get(slot.name) for slot in slots]
        proposals: list[Proposal] = []
        if not all(rows):  # all are asked again, so that every batch is what it was
            self.progress.begin(f"cycle {cycle}: generate", len(slots))
            proposals = self.proposer.propose(
                [slot.baseline for slot in slots],
                [slot.dataset for slot in slots],
                [derive_seed(self.config.seed, cycle, slot.number) for slot in slots],
                self.progress.advance,
            )
        return [proposal_of(row) if row else proposals[i] for i, row in enumerate(rows)]

    def _attempts(
        self, cycle: int, slots: Sequence[Slot], proposals: Sequence[Proposal]
    ) -> Iterator[Attempt]:
        """Yield and store one row per slot as soon as it is known: set by set, then by slot."""
        outcomes = [
            self._screen(slot, proposal) for slot, proposal in zip(slots, proposals, strict=True)
        ]
        jobs, sources = self._jobs(slots, outcomes)
        self.progress.begin(f"cycle {cycle}: evaluate", len(jobs))
        self.clock.lap("screen")
        evaluations = self.executor.map(jobs)
        owners = {slot.name: slot.dataset for slot in slots}
        sets = list(self.data)  # in whose order the executor works
        todo = sorted(
            zip(slots, proposals, outcomes, strict=True), key=lambda it: sets.index(it[0].dataset)
        )
        for slot, proposal, outcome in todo:
            source = sources.get(slot.name)
            row = self.recorded.get(slot.name)
            if row is None:
                while source and (slot.dataset, source) not in self.scores:
                    evaluation = next(evaluations)
                    self.scores[owners[evaluation.job_id], evaluation.job_id] = evaluation
                    self.progress.advance()
                self.clock.lap("evaluate")
                row = self._row(slot, proposal, outcome, source)
                self.clock.lap("screen")
                joins = row.admitted and self.config.protocol.grow_pool
                self.store.append(row, self._joining(slot, row) if joins else None)
                self.clock.lap("record")
            elif source == slot.name:
                self.scores[slot.dataset, source] = evaluation_of(row)
            self._remember(slot, row)
            yield row

    def _screen(self, slot: Slot, proposal: Proposal) -> Candidate | Refused:
        whole = self.config.generation is Generation.full
        outcome = screen_proposal(slot.name, proposal, slot.baseline, whole_network=whole)
        if isinstance(outcome, Refused) or self.config.novelty.gate is not NoveltyGate.training:
            return outcome
        known = self.known[slot.dataset, slot.baseline.recipe].find(outcome.code)
        return outcome if known else refuse_near_duplicate(outcome, self.novelty)

    def _jobs(
        self, slots: Sequence[Slot], outcomes: Sequence[Candidate | Refused]
    ) -> tuple[list[Job], dict[str, str]]:
        """Return one job per new syntax tree, and by attempt whose score it gets."""
        jobs: list[Job] = []
        sources: dict[str, str] = {}
        planned: dict[tuple[str, Recipe], Duplicates] = defaultdict(Duplicates)
        for slot, candidate in zip(slots, outcomes, strict=True):
            if isinstance(candidate, Refused):
                continue
            code, where = candidate.code, (slot.dataset, slot.baseline.recipe)
            source = self.known[where].find(code) or planned[where].find(code)
            sources[slot.name] = source or slot.name
            if source is None:
                planned[where].add(code, slot.name)
                if slot.name not in self.recorded:
                    jobs.append(self._job(slot.name, code, *where, canary=slot.baseline.code))
        return jobs, sources

    def _job(self, name: str, code: str, dataset: str, recipe: Recipe, canary: str = "") -> Job:
        return Job(
            job_id=name,
            code=code,
            dataset=dataset,
            recipe=recipe,
            seed=self.config.seed,
            canary=canary,
            **self.config.trainer.options(),
        )

    def _row(
        self, slot: Slot, proposal: Proposal, outcome: Candidate | Refused, source: str | None
    ) -> Attempt:
        evaluation = self.scores[slot.dataset, source] if source else None
        reused = source if source != slot.name else None
        similarity = outcome.novelty if isinstance(outcome, Refused) else None
        if evaluation and evaluation.proxy_accuracy is not None and not reused:
            similarity, _ = self.novelty.similarity(outcome.code)
        novel = similarity is not None and self.novelty.is_novel(similarity)
        return attempt_row(
            slot,
            proposal,
            outcome,
            evaluation,
            reused_from=reused,
            similarity=similarity,
            novel=novel or self.config.novelty.gate is NoveltyGate.off,
            majority_rate=self.data[slot.dataset].majority_rate("val"),
            gate=self.gates[slot.dataset],
            loop=self.config.trainer.loop.value,
            count_tokens=self.proposer.count_tokens,
        )

    def _joining(self, slot: Slot, row: Attempt) -> Baseline:
        """Return the baseline that an admitted candidate becomes."""
        return replace(
            slot.baseline,
            baseline_id=row.attempt_id,
            code=row.code,
            parent_id=row.parent_id,
            proxy_accuracy=row.proxy_accuracy,
        )

    def _remember(self, slot: Slot, row: Attempt) -> None:
        """Let the rest of the search know a row: its score and, where admitted, its network."""
        if row.proxy_accuracy is not None and not row.reused_from:
            self.known[slot.dataset, slot.baseline.recipe].add(row.code, row.attempt_id)
        if row.admitted:
            self.novelty.add(row.code, row.attempt_id)
            if self.config.protocol.grow_pool:
                self.pools[slot.dataset].append(self._joining(slot, row))

    def _proxy(self, dataset: str, name: str) -> float | None:
        return self.scores[dataset, name].proxy_accuracy
