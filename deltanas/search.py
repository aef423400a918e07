"""The algorithm: one stage per line, and the only module that knows every room."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deltanas.archive.sampling import sample_baselines
from deltanas.config import Config, NoveltyGate
from deltanas.evaluate.data import ImageData
from deltanas.evaluate.executor import Executor
from deltanas.evaluate.finalists import stratify
from deltanas.propose.prompt import render_answer
from deltanas.propose.proposer import Proposer
from deltanas.record.console import CycleProgress
from deltanas.record.metrics import summarise_cycle
from deltanas.record.store import RunStore, Source
from deltanas.record.tracker import Tracker
from deltanas.records import (
    Attempt,
    Baseline,
    Candidate,
    CycleSummary,
    Evaluation,
    Finalist,
    Job,
    Proposal,
    Verdict,
    attempt_id,
    derive_seed,
)
from deltanas.screen.delta import DeltaError, apply_delta, delta_lines, extract_delta
from deltanas.screen.duplicates import Duplicates
from deltanas.screen.novelty import NoveltyIndex
from deltanas.screen.policy import PolicyError, check_policy
from deltanas.tune.curation import Pair, curate, split
from deltanas.tune.lora import LoraTuner, TuneResult

HELD_OUT_SHARE = 0.2  # of the baselines of the curated pairs, to watch the LoRA loss


class SearchError(RuntimeError):
    """A search that cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A proposal that a gate stopped before it was trained."""

    verdict: Verdict
    reason: str
    delta: str = ""
    code: str = ""
    novelty: float | None = None


@dataclass(kw_only=True, slots=True)
class Search:
    """One search over its rooms. `run` walks the cycles; rows are written as slots are known."""

    config: Config
    directory: Path
    pool: list[Baseline]
    data: ImageData
    proposer: Proposer
    tuner: LoraTuner | None  # None: the LLM stays frozen, or there is none
    executor: Executor
    store: RunStore
    tracker: Tracker
    progress: CycleProgress
    novelty: NoveltyIndex
    known: Duplicates = field(default_factory=Duplicates)
    scores: dict[str, Evaluation] = field(default_factory=dict)  # of every network trained here
    pairs: list[Pair] = field(default_factory=list)

    def run(self) -> None:
        """Search, then study the finalists."""
        for cycle in range(self.config.protocol.cycles):
            self._cycle(cycle)
        self._study()

    def _cycle(self, cycle: int) -> None:
        baselines = self._measured_baselines(cycle)
        proposals = self._propose(cycle, baselines)
        began = time.perf_counter()
        attempts = list(self._attempts(cycle, baselines, proposals))
        seconds_evaluate = time.perf_counter() - began
        tuned = self._tune(cycle, baselines, attempts)
        summary = summarise_cycle(
            cycle,
            attempts,
            tune_loss_before=tuned.loss_before if tuned else None,
            tune_loss_after=tuned.loss_after if tuned else None,
            adapter_kept=tuned.kept if tuned else None,
            seconds_evaluate=seconds_evaluate,
            seconds_tune=tuned.seconds if tuned else 0.0,
        )
        self.store.add_cycle(summary)
        self.tracker.log_cycle(summary)
        self.progress.end_cycle(summary)

    def _measured_baselines(self, cycle: int) -> list[Baseline]:
        """Return the baselines of a cycle, each with its proxy accuracy under this run's seed."""
        wanted = self.config.protocol.candidates
        rng = random.Random(derive_seed(self.config.seed, cycle, "baselines"))
        chosen: list[Baseline] = []
        while len(chosen) < wanted:
            drawn = sample_baselines(self.pool, wanted - len(chosen), rng, fits=self.proposer.fits)
            self._measure(cycle, [b for b in drawn if b.baseline_id not in self.scores])
            trained = [b for b in drawn if self._trained(b.baseline_id)]
            failed = {b.baseline_id for b in drawn} - {b.baseline_id for b in trained}
            self.pool = [b for b in self.pool if b.baseline_id not in failed]
            if not self.pool:
                raise SearchError(
                    f"no baseline of the archive trains on {self.data.name} within the limits of"
                    f" protocol={self.config.protocol.name}; raise protocol.timeout_s or memory_gb"
                )
            chosen += trained
        return [self._with_score(baseline) for baseline in chosen]

    def _measure(self, cycle: int, baselines: Sequence[Baseline]) -> None:
        unique = {baseline.baseline_id: baseline for baseline in baselines}
        self.progress.begin(f"cycle {cycle}: baselines", len(unique))
        jobs = [self._job(b.baseline_id, b.code, b) for b in unique.values()]
        scores = {}
        for evaluation in self.executor.map(jobs):
            scores[evaluation.job_id] = evaluation
            self.progress.advance()
        for name, baseline in unique.items():  # in the order drawn, not in that of the workers
            self.scores[name] = scores[name]
            if self._trained(name):
                self.known.add(baseline.code, name)
                self.novelty.add(baseline.code, name)
                self.store.add_baseline(
                    self._with_score(baseline),
                    Source.ARCHIVE,
                    scores[name].first_epoch_accuracy,
                )

    def _propose(self, cycle: int, baselines: Sequence[Baseline]) -> list[Proposal]:
        self.progress.begin(f"cycle {cycle}: generate", len(baselines))
        seeds = [derive_seed(self.config.seed, cycle, slot) for slot in range(len(baselines))]
        return self.proposer.propose(baselines, seeds, self.progress.advance)

    def _attempts(
        self, cycle: int, baselines: Sequence[Baseline], proposals: Sequence[Proposal]
    ) -> Iterator[Attempt]:
        """Yield and store one row per slot, in the order of the slots, as soon as it is known."""
        screened = [
            self._screen(attempt_id(cycle, slot), proposal, baseline)
            for slot, (proposal, baseline) in enumerate(zip(proposals, baselines, strict=True))
        ]
        jobs, sources = self._jobs(screened)
        self.progress.begin(f"cycle {cycle}: evaluate", len(jobs))
        evaluations = self.executor.map(jobs)
        for slot, outcome in enumerate(screened):
            source = sources.get(slot)
            while source is not None and source not in self.scores:
                evaluation = next(evaluations)
                self.scores[evaluation.job_id] = evaluation
                self.progress.advance()
            if source and self._trained(source):
                self.known.add(outcome.code, source)
            yield self._finish(cycle, slot, proposals[slot], baselines[slot], outcome, source)

    def _screen(self, name: str, proposal: Proposal, baseline: Baseline) -> Candidate | Refused:
        """Return the candidate, or why there is none: extract, apply, policy, novelty."""
        if proposal.truncated:
            reason = f"the reply was cut after {proposal.output_tokens} tokens"
            return Refused(verdict=Verdict.TRUNCATED, reason=reason)
        delta = code = ""
        try:
            delta = extract_delta(proposal.reply)
            code = apply_delta(baseline.code, delta)
            check_policy(baseline.code, code)
        except (DeltaError, PolicyError) as error:
            return Refused(verdict=error.verdict, reason=str(error), delta=delta, code=code)
        if self.config.novelty.gate is NoveltyGate.training and not self.known.find(code):
            similarity, nearest = self.novelty.similarity(code)
            if not self.novelty.is_novel(similarity):
                reason = f"similarity {similarity:.3f} to {nearest}"
                return Refused(
                    verdict=Verdict.NOT_NOVEL,
                    reason=reason,
                    delta=delta,
                    code=code,
                    novelty=similarity,
                )
        return Candidate(attempt_id=name, baseline=baseline, delta=delta, code=code)

    def _jobs(self, screened: Sequence[Candidate | Refused]) -> tuple[list[Job], dict[int, str]]:
        """Return one job per new syntax tree, and by slot whose score a candidate gets."""
        jobs: list[Job] = []
        sources: dict[int, str] = {}
        planned = Duplicates()
        for slot, candidate in enumerate(screened):
            if not isinstance(candidate, Candidate):
                continue
            code, name = candidate.code, candidate.attempt_id
            source = self.known.find(code) or planned.find(code)
            if source is None:
                planned.add(code, name)
                jobs.append(self._job(name, code, candidate.baseline))
            sources[slot] = source or name
        return jobs, sources

    def _job(self, name: str, code: str, baseline: Baseline, epochs: int = 1) -> Job:
        return Job(
            job_id=name, code=code, recipe=baseline.recipe, epochs=epochs, seed=self.config.seed
        )

    def _finish(
        self,
        cycle: int,
        slot: int,
        proposal: Proposal,
        baseline: Baseline,
        outcome: Candidate | Refused,
        source: str | None,
    ) -> Attempt:
        """Store and return the row of one slot; a candidate past all gates joins the pool."""
        evaluation = self.scores[source] if source else None
        name = attempt_id(cycle, slot)
        reused = source if source != name else None
        proxy = evaluation.proxy_accuracy if evaluation else None
        degenerate = proxy is not None and (
            proxy <= self.data.majority_rate("val") or _known(evaluation).batch_dependent
        )
        novelty = outcome.novelty if isinstance(outcome, Refused) else None
        if proxy is not None and not reused:
            novelty, _ = self.novelty.similarity(outcome.code)
        admitted = (
            proxy is not None
            and not reused
            and not degenerate
            and proxy >= self.config.dataset.gate
            and (
                self.config.novelty.gate is NoveltyGate.off
                or (novelty is not None and self.novelty.is_novel(novelty))
            )
        )
        count = self.proposer.count_tokens
        refused = outcome if isinstance(outcome, Refused) else None
        attempt = Attempt(
            attempt_id=name,
            cycle=cycle,
            slot=slot,
            parent_id=baseline.baseline_id,
            family=baseline.family,
            dataset=self.data.name,
            verdict=refused.verdict if refused else _known(evaluation).verdict,
            reason=refused.reason if refused else _known(evaluation).reason,
            prompt=proposal.prompt,
            reply=proposal.reply,
            delta=outcome.delta,
            code=outcome.code,
            delta_lines=delta_lines(outcome.delta) if outcome.delta else None,
            delta_tokens=count(outcome.delta) if outcome.delta else None,
            prompt_tokens=proposal.prompt_tokens,
            output_tokens=proposal.output_tokens,
            full_lines=len(outcome.code.splitlines()) if outcome.code else None,
            full_tokens=count(outcome.code) if outcome.code else None,
            seed=proposal.seed,
            seconds_generate=proposal.seconds,
            seconds_evaluate=evaluation.seconds if evaluation and not reused else 0.0,
            proxy_accuracy=proxy,
            first_epoch_accuracy=evaluation.first_epoch_accuracy if evaluation else None,
            gain=_gain(proxy, baseline),
            parameters=evaluation.parameters if evaluation else None,
            macs=evaluation.macs if evaluation else None,
            novelty=novelty,
            degenerate=degenerate,
            admitted=admitted,
            reused_from=reused,
            cpu_seconds=evaluation.cpu_seconds if evaluation else None,
            memory_bytes=evaluation.memory_bytes if evaluation else None,
        )
        joins = replace(
            baseline,
            baseline_id=name,
            code=outcome.code,
            parent_id=baseline.baseline_id,
            proxy_accuracy=proxy,
        )
        self.store.append(attempt, joins if admitted else None)
        if admitted:
            self.pool.append(joins)
            self.novelty.add(outcome.code, name)
        return attempt

    def _tune(
        self,
        cycle: int,
        baselines: Sequence[Baseline],
        attempts: Sequence[Attempt],
    ) -> TuneResult | None:
        """Tune the LLM on the good pairs of all cycles so far; None where there is too little."""
        if self.tuner is None:
            return None
        self.progress.begin(f"cycle {cycle}: tune")
        for attempt, baseline in zip(attempts, baselines, strict=True):
            answer = render_answer(self.config.llm.prompt, baseline, attempt.code)
            if attempt.gain is None or attempt.degenerate or not answer:
                continue
            pair = Pair(
                pair_id=attempt.attempt_id,
                baseline_id=baseline.baseline_id,
                family=baseline.family,
                dataset=self.data.name,
                prompt=attempt.prompt,
                answer=answer,
                gain=attempt.gain,
            )
            if self.tuner.fits(pair):
                self.pairs.append(pair)
        lora = self.config.lora
        # the same draws every cycle, so that a baseline that was held out stays held out
        rng = random.Random(derive_seed(self.config.seed, "pairs"))
        chosen = curate(
            self.pairs,
            limit=lora.pairs,
            minimum_gain=lora.minimum_gain,
            per_baseline=lora.per_baseline,
            rng=rng,
        )
        train, held_out = split(chosen, share=HELD_OUT_SHARE, rng=rng)
        if not train or not held_out:
            return None
        return self.tuner.tune(
            train,
            held_out,
            seed=derive_seed(self.config.seed, cycle, "lora"),
            directory=self.directory / "adapters" / f"cycle_{cycle:02d}",
        )

    def _study(self) -> None:
        """Train finalists for longer and store how they ended."""
        rows = [
            attempt
            for attempt in self.store.attempts()
            if attempt.proxy_accuracy is not None and not attempt.reused_from
        ]
        rows.sort(key=lambda row: (row.proxy_accuracy or 0.0, row.attempt_id))
        chosen = stratify([row.attempt_id for row in rows], self.config.protocol.finalists)
        by_id = {row.attempt_id: row for row in rows}
        recipes = {b.baseline.baseline_id: b.baseline for b in self.store.baselines()}
        self.progress.begin("study: finalists", len(chosen))
        epochs = self.config.protocol.finalist_epochs
        jobs = [
            self._job(name, by_id[name].code, recipes[by_id[name].parent_id], epochs)
            for name in chosen
        ]
        for evaluation in self.executor.map(jobs):
            row = by_id[evaluation.job_id]
            self.store.add_finalist(
                Finalist(
                    attempt_id=row.attempt_id,
                    dataset=row.dataset,
                    proxy_accuracy=row.proxy_accuracy or 0.0,
                    final_accuracy=evaluation.test_accuracy,
                    curve=evaluation.curve,
                    verdict=evaluation.verdict,
                    reason=evaluation.reason,
                )
            )
            self.progress.advance()

    def _trained(self, name: str) -> bool:
        return self.scores[name].proxy_accuracy is not None

    def _with_score(self, baseline: Baseline) -> Baseline:
        return replace(baseline, proxy_accuracy=self.scores[baseline.baseline_id].proxy_accuracy)


def _known(evaluation: Evaluation | None) -> Evaluation:
    if evaluation is None:
        raise AssertionError("a candidate that passed the gates has no evaluation")
    return evaluation


def _gain(proxy: float | None, baseline: Baseline) -> float | None:
    if proxy is None or baseline.proxy_accuracy is None:
        return None
    return proxy - baseline.proxy_accuracy


def cycles_of(store: RunStore) -> list[CycleSummary]:
    """Return the finished cycles and, where a run broke off inside one, what is there of it."""
    cycles = store.cycles()
    last = len(cycles)
    rest = [attempt for attempt in store.attempts() if attempt.cycle == last]
    return [*cycles, summarise_cycle(last, rest)] if rest else cycles
