"""The study after the search: does one epoch of training preserve the ranking of many?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from deltanas.config.choices import FinalistChoice
from deltanas.config.schema import Config
from deltanas.evaluate.executor import Executor
from deltanas.record.store import RunStore
from deltanas.records import Attempt, Finalist, Job, Stage, derive_seed
from deltanas.search.finalists import Scored, stratify, top
from deltanas.search.jobs import training_job
from deltanas.search.stages import Stages


@dataclass(kw_only=True, slots=True)
class Study:
    """Trains finalists for longer, some twice; what the store holds is not trained again."""

    config: Config
    store: RunStore
    executor: Executor
    stages: Stages

    def run(self) -> None:
        """Train the finalists and the repeats, and store how they ended."""
        protocol = self.config.protocol
        rows = {
            attempt.attempt_id: attempt
            for attempt in self.store.attempts()
            if attempt.proxy_accuracy is not None
            and not attempt.reused_from
            and not attempt.overworked
        }
        scored = [Scored(n, r.dataset, r.proxy_accuracy or 0.0) for n, r in rows.items()]
        choose = top if protocol.finalist_choice is FinalistChoice.top else stratify
        jobs = self._jobs([rows[name] for name in choose(scored, protocol.finalists)])
        done = {finalist.attempt_id for finalist in self.store.finalists()}
        for finalist in self._train("finalists", jobs, done, rows):
            self.store.add_finalist(finalist)
        finished = {f.attempt_id for f in self.store.finalists() if f.final_accuracy is not None}
        left = [one for one in scored if one.attempt_id in finished]
        again = stratify(left, protocol.finalist_repeats)
        seed = derive_seed(self.config.seed, "repeat")
        repeats = [replace(job, seed=seed) for job in jobs if job.job_id in again]
        done = {finalist.attempt_id for finalist in self.store.repeats()}
        for finalist in self._train("repeats", repeats, done, rows):
            self.store.add_repeat(finalist)

    def _jobs(self, rows: Sequence[Attempt]) -> list[Job]:
        parents = {
            (used.dataset, used.baseline.baseline_id): used.baseline
            for used in self.store.baselines()
        }
        return [
            training_job(
                self.config,
                row.attempt_id,
                row.code,
                row.dataset,
                parents[row.dataset, row.parent_id].recipe,
                canary=parents[row.dataset, row.parent_id].code,
                epochs=self.config.protocol.finalist_epochs,
            )
            for row in rows
        ]

    def _train(
        self, stage: str, jobs: Sequence[Job], done: set[str], rows: dict[str, Attempt]
    ) -> Iterator[Finalist]:
        left = [job for job in jobs if job.job_id not in done]
        known = len(jobs) - len(left)
        with self.stages.show(Stage.study, f"study: {stage}", len(jobs), known) as advance:
            for evaluation in self.executor.map(left):
                row = rows[evaluation.job_id]
                over = evaluation.overworked
                yield Finalist(
                    attempt_id=row.attempt_id,
                    dataset=row.dataset,
                    proxy_accuracy=row.proxy_accuracy or 0.0,
                    final_accuracy=None if over else evaluation.test_accuracy,
                    curve=evaluation.curve,
                    verdict=evaluation.verdict,
                    reason="its own loop overworked" if over else evaluation.reason,
                )
                advance()
