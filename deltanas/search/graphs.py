"""Graphs before training: a candidate that computes what a known network does is not trained.

A graph is the word of a candidate's own process, which may lie. So it never gives a score: who
claims a known graph is refused, and loses by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deltanas.config.choices import NoveltyGate, NoveltyMeasure
from deltanas.config.schema import Config
from deltanas.evaluate.executor import Executor
from deltanas.records import (
    Attempt,
    Candidate,
    Evaluation,
    Job,
    Recipe,
    Refused,
    Slot,
    Stage,
    Verdict,
)
from deltanas.search.jobs import candidate_job
from deltanas.search.judging import IN_JAIL
from deltanas.search.memory import Memory
from deltanas.search.stages import Stages

Outcomes = Mapping[str, Candidate | Refused]  # by slot


@dataclass(kw_only=True, slots=True)
class Tracing:
    """Asks the jail for graphs before anything trains, where graphs gate training."""

    config: Config
    executor: Executor
    memory: Memory
    stages: Stages

    def screened(
        self, cycle: int, slots: Sequence[Slot], outcomes: Outcomes, rows: Mapping[str, Attempt]
    ) -> tuple[dict[str, Candidate | Refused], dict[str, Evaluation]]:
        """Return the outcomes without known graphs, and by slot what the checks found out."""
        novelty = self.config.novelty
        if novelty.gate is not NoveltyGate.training or novelty.measure is not NoveltyMeasure.graph:
            return dict(outcomes), {}
        jobs = checks(self.config, slots, outcomes, self.memory)
        found: dict[str, Evaluation] = {}
        with self.stages.show(Stage.evaluate, f"cycle {cycle}: trace", len(jobs)) as advance:
            for evaluation in self.executor.map(jobs):
                found[evaluation.job_id] = evaluation
                advance()
        with self.stages.count(Stage.screen):
            return without_known_graphs(slots, outcomes, rows, found, self.memory), found


def checks(config: Config, slots: Sequence[Slot], outcomes: Outcomes, memory: Memory) -> list[Job]:
    """Return the jobs that trace the candidates whose syntax tree no trained network has."""
    return [
        replace(candidate_job(config, slot, outcome), epochs=0)
        for slot in slots
        if isinstance(outcome := outcomes.get(slot.name), Candidate)
        and memory.find_equal(slot, outcome.code) is None
    ]


def without_known_graphs(
    slots: Sequence[Slot],
    outcomes: Outcomes,
    rows: Mapping[str, Attempt],
    checked: Mapping[str, Evaluation],
    memory: Memory,
) -> dict[str, Candidate | Refused]:
    """Return the outcomes, those refused whose graph a trained network or an earlier slot has.

    What slots with `rows` had counts as it did when these were made.
    """
    left = dict(outcomes)
    here: dict[tuple[str, Recipe, str], str] = {}
    for slot in slots:
        row, found = rows.get(slot.name), checked.get(slot.name)
        if row is not None:
            graph = row.graph if row.verdict in IN_JAIL else None
        else:
            graph = found.graph if found and found.verdict is Verdict.TRAINED else None
        if graph is None:
            continue
        known = memory.find_graph(slot, graph)
        known = known or here.setdefault((slot.dataset, slot.baseline.recipe, graph), slot.name)
        if row is None and known != slot.name:
            left[slot.name] = _refused(outcomes[slot.name], known)
    return left


def _refused(outcome: Candidate | Refused, known: str) -> Refused:
    return Refused(
        verdict=Verdict.NOT_NOVEL,
        reason=f"it computes what {known} does",
        delta=outcome.delta,
        code=outcome.code,
        novelty=1.0,
    )
