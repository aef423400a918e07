"""The study after the search: does one epoch of training preserve the ranking of many?"""

from __future__ import annotations

from deltanas.config import Config
from deltanas.evaluate.executor import Executor
from deltanas.evaluate.finalists import stratify
from deltanas.record.console import CycleProgress
from deltanas.record.store import RunStore
from deltanas.records import Finalist, Job


def study_finalists(
    config: Config, store: RunStore, executor: Executor, progress: CycleProgress
) -> None:
    """Train finalists for longer and store how they ended; those that are stored stay."""
    rows = [
        attempt
        for attempt in store.attempts()
        if attempt.proxy_accuracy is not None and not attempt.reused_from
    ]
    rows.sort(key=lambda row: (row.proxy_accuracy or 0.0, row.attempt_id))
    chosen = stratify([row.attempt_id for row in rows], config.protocol.finalists)
    by_id = {row.attempt_id: row for row in rows}
    recipes = {
        (used.dataset, used.baseline.baseline_id): used.baseline.recipe
        for used in store.baselines()
    }
    done = {finalist.attempt_id for finalist in store.finalists()}
    progress.begin("study: finalists", len(chosen))
    progress.advance(len(done))
    jobs = [
        Job(
            job_id=name,
            code=by_id[name].code,
            dataset=by_id[name].dataset,
            recipe=recipes[by_id[name].dataset, by_id[name].parent_id],
            epochs=config.protocol.finalist_epochs,
            seed=config.seed,
        )
        for name in chosen
        if name not in done
    ]
    for evaluation in executor.map(jobs):
        row = by_id[evaluation.job_id]
        store.add_finalist(
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
        progress.advance()
