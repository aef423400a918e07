"""From candidates to jobs: one for every new syntax tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from deltanas.config.choices import NoveltyMeasure
from deltanas.config.schema import Config
from deltanas.records import Attempt, Candidate, Evaluation, Job, Recipe, Refused, Slot, Verdict
from deltanas.screen.duplicates import Duplicates
from deltanas.search.judging import IN_JAIL
from deltanas.search.memory import Memory


def training_job(
    config: Config,
    name: str,
    code: str,
    dataset: str,
    recipe: Recipe,
    *,
    canary: str = "",
    epochs: int = 1,
) -> Job:
    """Return the job that trains a network as the configuration says, with the run's seed."""
    return Job(
        job_id=name,
        code=code,
        dataset=dataset,
        recipe=recipe,
        seed=config.seed,
        canary=canary,
        epochs=epochs,
        trace=config.novelty.measure is NoveltyMeasure.graph,
        **config.trainer.options(),
    )


def candidate_job(config: Config, slot: Slot, candidate: Candidate) -> Job:
    """Return the job that trains a candidate as its parent was, which is its canary."""
    baseline = slot.baseline
    return training_job(
        config, slot.name, candidate.code, slot.dataset, baseline.recipe, canary=baseline.code
    )


def planned(
    config: Config,
    slots: Sequence[Slot],
    outcomes: Mapping[str, Candidate | Refused],
    rows: Mapping[str, Attempt],
    memory: Memory,
    checked: Mapping[str, Evaluation],
) -> tuple[list[Job], dict[str, str]]:
    """Return the jobs of a cycle, and by slot the name of the network whose score it gets.

    Slots with `rows` are done; an equal network takes their score, and they need no job. Neither
    do those that were `checked` and are not to be trained.
    """
    jobs: list[Job] = []
    sources: dict[str, str] = {}
    here: dict[tuple[str, Recipe], Duplicates] = defaultdict(Duplicates)
    for slot in slots:
        row, outcome = rows.get(slot.name), outcomes.get(slot.name)
        if row is not None:
            if row.verdict in IN_JAIL and not row.reused_from:
                here[slot.dataset, slot.baseline.recipe].add(row.code, slot.name)
            continue
        if not isinstance(outcome, Candidate):
            if slot.name in checked:
                sources[slot.name] = slot.name
            continue
        code, alike = outcome.code, here[slot.dataset, slot.baseline.recipe]
        sources[slot.name] = memory.find_equal(slot, code) or alike.find(code) or slot.name
        if sources[slot.name] == slot.name:
            alike.add(code, slot.name)
            found = checked.get(slot.name)
            if found is None or found.verdict is Verdict.TRAINED:
                jobs.append(replace(candidate_job(config, slot, outcome), checked=found))
    return jobs, sources
