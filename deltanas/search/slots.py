"""The slots of a cycle: which baselines are edited for which data set, each with its score."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from deltanas.archive.sampling import sample_baselines
from deltanas.config.choices import ArchiveName
from deltanas.config.schema import Config
from deltanas.evaluate.executor import Executor
from deltanas.propose.proposer import Proposer
from deltanas.records import (
    Baseline,
    Evaluation,
    Origin,
    Slot,
    Stage,
    UsedBaseline,
    UserError,
    Verdict,
    derive_seed,
)
from deltanas.report.formats import visible
from deltanas.search.jobs import training_job
from deltanas.search.journal import Journal
from deltanas.search.judging import score_of
from deltanas.search.memory import Memory
from deltanas.search.parents import Selector
from deltanas.search.stages import Stages


class SearchError(UserError):
    """A search that cannot go on; the message says why and what to do."""


@dataclass(kw_only=True, slots=True)
class Slots:
    """Chooses slots: the data sets take turns, each with parents of its own pool."""

    config: Config
    selectors: Mapping[str, Selector]  # by dataset
    proposer: Proposer
    executor: Executor
    memory: Memory
    journal: Journal
    stages: Stages

    def choose(self, cycle: int) -> list[Slot]:
        """Return a cycle's slots; each baseline has its proxy accuracy under this run's seed.

        As many as `tune.siblings` says share a parent, but for the last of a data set.
        Raises SearchError where no baseline of a data set trains.
        """
        count = self.config.protocol.candidates
        names = list(self.memory.pools)
        turns = [names[(cycle * count + number) % len(names)] for number in range(count)]
        siblings = self.config.tune.siblings
        waiting = {
            name: chain.from_iterable(
                [parent] * siblings
                for parent in self._parents(cycle, name, -(-turns.count(name) // siblings))
            )
            for name in names
            if name in turns
        }
        return [
            Slot(cycle=cycle, number=number, dataset=name, baseline=next(waiting[name]))
            for number, name in enumerate(turns)
        ]

    def survey(self) -> None:
        """Score `protocol.survey` baselines of every data set before any is chosen."""
        for dataset in list(self.memory.pools):
            pool = self.memory.pools[dataset]
            rng = random.Random(derive_seed(self.config.seed, "survey", dataset))
            drawn = sample_baselines(
                pool,
                min(self.config.protocol.survey, len(pool)),
                rng,
                fits=partial(self._fits, dataset),
            )
            self._measure("survey", dataset, drawn)
            self._drop_failed(dataset, drawn)

    def _parents(self, cycle: int, dataset: str, wanted: int) -> list[Baseline]:
        """Return baselines that train; those that do not leave the pool, and others are drawn."""
        rng = random.Random(derive_seed(self.config.seed, cycle, "baselines", dataset))
        chosen: list[Baseline] = []
        while len(chosen) < wanted:
            drawn = self.selectors[dataset].choose(
                self.memory.pools[dataset],
                wanted - len(chosen),
                rng,
                partial(self._fits, dataset),
            )
            self._measure(f"cycle {cycle}: baselines", dataset, drawn)
            proxies = self._drop_failed(dataset, drawn)
            if not self.memory.pools[dataset]:
                raise SearchError(
                    f"no baseline of the archive trains on {dataset} within the limits of"
                    f" protocol={self.config.protocol.name}; raise protocol.timeout_s or memory_gb"
                )
            scored = (replace(b, proxy_accuracy=proxies[b.baseline_id]) for b in drawn)
            chosen += [baseline for baseline in scored if baseline.proxy_accuracy is not None]
        return chosen

    def _fits(self, dataset: str, baseline: Baseline) -> bool:
        return self.proposer.fits(baseline, dataset)

    def _drop_failed(self, dataset: str, baselines: Sequence[Baseline]) -> dict[str, float | None]:
        """Take out of the pool what did not train; return the proxy accuracies by name."""
        proxies = {b.baseline_id: self.memory.proxy(dataset, b.baseline_id) for b in baselines}
        self.memory.drop(dataset, (name for name, proxy in proxies.items() if proxy is None))
        return proxies

    def _measure(self, title: str, dataset: str, baselines: Sequence[Baseline]) -> None:
        """Score the baselines that have no score yet: the journal answers before the jail."""
        scores = self.memory.scores
        new = {b.baseline_id: b for b in baselines if (dataset, b.baseline_id) not in scores}
        known = {
            name: score_of(used)
            for name in new
            if (used := self.journal.baseline(dataset, name)) is not None
        }
        jobs = [
            training_job(self.config, name, baseline.code, dataset, baseline.recipe)
            for name, baseline in new.items()
            if name not in known
        ]
        found: dict[str, Evaluation] = {}
        with self.stages.show(Stage.baselines, title, len(jobs)) as advance:
            for evaluation in self.executor.map(jobs):
                found[evaluation.job_id] = _usable(evaluation)
                advance()
        for name, baseline in new.items():  # in the order drawn, not in that of the workers
            if name in found:
                self.journal.add_baseline(_used(baseline, dataset, found[name]))
                self._tell(dataset, name, found[name])
            self.memory.add_baseline(dataset, baseline, found.get(name) or known[name])

    def _tell(self, dataset: str, name: str, found: Evaluation) -> None:
        """Say what is wrong with a network of the user's own, who can mend it."""
        if self.config.archive.name is ArchiveName.folder and found.proxy_accuracy is None:
            reason = visible(found.reason or found.verdict.for_people)
            self.stages.bars.say(f"{name} does not train on {dataset}: {found.verdict}: {reason}")


def _usable(found: Evaluation) -> Evaluation:
    """Return a baseline's evaluation; one that overworked is no measure for its descendants."""
    if not found.overworked:
        return found
    return Evaluation(
        job_id=found.job_id,
        verdict=Verdict.TIMED_OUT,
        reason="its own loop took more CPU time than one epoch does",
        seconds=found.seconds,
        cpu_seconds=found.cpu_seconds,
    )


def _used(baseline: Baseline, dataset: str, found: Evaluation) -> UsedBaseline:
    return UsedBaseline(
        baseline=replace(baseline, proxy_accuracy=found.proxy_accuracy),
        dataset=dataset,
        origin=Origin.ARCHIVE,
        verdict=found.verdict,
        reason=found.reason,
        first_epoch_accuracy=found.first_epoch_accuracy,
        graph=found.graph,
    )
