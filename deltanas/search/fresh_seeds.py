"""Epochs of known networks under other seeds than the search's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from deltanas.config.schema import Config
from deltanas.evaluate.executor import Executor
from deltanas.records import (
    Baseline,
    Evaluation,
    Purpose,
    Retraining,
    Stage,
    derive_seed,
)
from deltanas.search.jobs import training_job
from deltanas.search.journal import Journal
from deltanas.search.stages import Stages

Entrant = tuple[str, Baseline]  # a dataset, and a network that trained on it

_STAGES = {Purpose.RACE: Stage.race, Purpose.CONFIRM: Stage.confirm}


@dataclass(kw_only=True, slots=True)
class FreshSeeds:
    """Trains networks again; the journal answers before the jail, and nothing is trained twice.

    Seed number i of a purpose is the same for every network of a run, so that networks compare in
    pairs.
    """

    config: Config
    executor: Executor
    journal: Journal
    stages: Stages
    _known: dict[tuple[str, str, Purpose, int], Retraining] = field(default_factory=dict)

    def train(
        self, title: str, purpose: Purpose, entrants: Sequence[Entrant], numbers: Iterable[int]
    ) -> None:
        """Train every entrant once under each of some seeds."""
        wanted = {
            (dataset, one.baseline_id, purpose, number): one
            for number in numbers
            for dataset, one in entrants
        }
        for key in wanted:
            if key not in self._known and (known := self.journal.retraining(*key)):
                self._known[key] = known
        left = {key: one for key, one in wanted.items() if key not in self._known}
        jobs = {f"{key[1]}@{purpose}-{key[3]}@{key[0]}": key for key in left}
        made_before = len(wanted) - len(jobs)
        with self.stages.show(_STAGES[purpose], title, len(wanted), made_before) as advance:
            made = (
                replace(
                    training_job(
                        self.config, name, left[key].code, key[0], left[key].recipe,
                        canary=left[key].code,
                    ),
                    seed=derive_seed(self.config.seed, purpose, key[3]),
                )
                for name, key in jobs.items()
            )  # fmt: skip
            for found in self.executor.map(made):
                again = _retraining(jobs[found.job_id], self.config.seed, found)
                self.journal.add_retraining(again)
                self._known[jobs[found.job_id]] = again
                advance()

    def raced(self, dataset: str, name: str) -> dict[int, float]:
        """Return a network's validation accuracies in races, by number of the seed."""
        keys = ((dataset, name, Purpose.RACE, n) for n in range(self.config.confirm.race))
        trained = (self._known[key] for key in keys if key in self._known)
        return {
            again.number: again.validation_accuracy
            for again in trained
            if again.validation_accuracy is not None
        }


def _retraining(key: tuple[str, str, Purpose, int], seed: int, found: Evaluation) -> Retraining:
    dataset, name, purpose, number = key
    over = found.overworked
    return Retraining(
        network_id=name,
        dataset=dataset,
        purpose=purpose,
        number=number,
        seed=derive_seed(seed, purpose, number),
        verdict=found.verdict,
        reason="its own loop overworked" if over else found.reason,
        validation_accuracy=None if over else found.proxy_accuracy,
        test_accuracy=None if over else found.test_accuracy,
        seconds=found.seconds,
    )
