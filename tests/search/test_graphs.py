"""A search whose measure is the graph: what is known, what trains, and what goes on the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deltanas.config.choices import NoveltyGate, NoveltyMeasure
from deltanas.config.schema import Config
from deltanas.records import Evaluation, Job, Request, Verdict
from deltanas.search.newness import novelty_definition
from tests.fakes import InlineExecutor, ListJournal, baseline, delta
from tests.search.test_loop import configured, searching, walked


def by_graph(gate: NoveltyGate = NoveltyGate.admission, **protocol: Any) -> Config:
    config = configured(**protocol)
    config.novelty.measure, config.novelty.gate = NoveltyMeasure.graph, gate
    return config


def in_order(*widths: int) -> Callable[[Request], str]:
    """Give the slots these widths in turn."""
    left = iter(widths)
    return lambda request: delta(request.slot.baseline.code, next(left))


def unlike_the_pool(request: Request) -> str:
    """Give every request a width by its seed, often of a baseline's graph, never of its syntax."""
    width = 10 + request.seed % 100
    return delta(request.slot.baseline.code, width + (width % 10 == 0))


def trained(executor: InlineExecutor) -> list[str]:
    return [job.job_id for job in executor.jobs if job.job_id.startswith("c") and job.epochs]


def test_a_known_graph_does_not_join_the_pool_and_keeps_its_own_score() -> None:
    # by tens: one of the baseline's, a new one, that one again, another new one
    executor = InlineExecutor(alike=10)
    config = by_graph(cycles=1, candidates=4)
    rows = walked(
        searching(
            config, executor=executor, answer=in_order(35, 60, 65, 70), pool=[baseline("one", 30)]
        )
    )
    assert [row.proxy_accuracy for row in rows] == [0.35, 0.6, 0.65, 0.7]
    assert [row.novelty for row in rows] == [1.0, 0.0, 1.0, 0.0]
    assert [row.admitted for row in rows] == [False, True, False, True]
    assert [row.graph for row in rows] == [f"{tens:032x}" for tens in (3, 6, 6, 7)]
    assert {row.reused_from for row in rows} == {None}


def test_a_known_graph_need_not_train_and_gets_no_score_for_what_it_claims() -> None:
    executor = InlineExecutor(alike=10)
    config = by_graph(NoveltyGate.training, cycles=2, candidates=3)
    rows = walked(
        searching(
            config,
            executor=executor,
            answer=in_order(35, 60, 65, 61, 60, 70),
            pool=[baseline("one", 30)],
        )
    )
    ends = [(row.verdict, row.reason, row.proxy_accuracy, row.reused_from) for row in rows]
    assert ends == [
        (Verdict.NOT_NOVEL, "it computes what one does", None, None),
        (Verdict.TRAINED, "", 0.6, None),
        (Verdict.NOT_NOVEL, "it computes what c00-s001 does", None, None),
        (Verdict.NOT_NOVEL, "it computes what c00-s001 does", None, None),
        (Verdict.TRAINED, "", 0.6, "c00-s001"),  # its syntax is equal, which nobody can forge
        (Verdict.TRAINED, "", 0.7, None),
    ]
    assert [row.novelty for row in rows] == [1.0, 0.0, 1.0, 1.0, None, 0.0]
    assert [row.parameters for row in rows] == [35, 60, 65, 61, 60, 70]
    assert trained(executor) == ["c00-s001", "c01-s002"]


def test_what_was_checked_is_not_checked_again() -> None:
    executor = InlineExecutor()
    walked(searching(by_graph(NoveltyGate.training, cycles=1), executor=executor))
    checked = [job for job in executor.jobs if job.job_id.startswith("c") and not job.epochs]
    again = [job for job in executor.jobs if job.checked is not None]
    assert len(checked) == 4
    assert all(job.trace and job.checked is None for job in checked)
    assert [job.job_id for job in again] == trained(executor)
    assert all(job.checked.job_id == job.job_id for job in again if job.checked)


def test_a_network_that_fails_the_check_keeps_that_verdict() -> None:
    class Checking(InlineExecutor):
        def evaluate(self, job: Job) -> Evaluation:
            if job.epochs:
                return super().evaluate(job)
            return Evaluation(job_id=job.job_id, verdict=Verdict.SHAPE, reason="9 of 10 classes")

    rows = walked(searching(by_graph(NoveltyGate.training), executor=Checking()))
    assert {(row.verdict, row.reason) for row in rows} == {(Verdict.SHAPE, "9 of 10 classes")}


def test_what_was_not_traced_trains_and_does_not_join() -> None:
    class Blind(InlineExecutor):
        def evaluate(self, job: Job) -> Evaluation:
            return super().evaluate(replace(job, trace=False))

    for gate in (NoveltyGate.admission, NoveltyGate.training):
        config = by_graph(gate, cycles=1, candidates=1)
        (row,) = walked(searching(config, executor=Blind(), answer=in_order(60)))
        assert (row.proxy_accuracy, row.novelty, row.admitted) == (0.6, None, False)


@pytest.mark.parametrize("gate", [NoveltyGate.admission, NoveltyGate.training])
def test_rows_do_not_depend_on_where_a_run_was_killed_or_on_which_job_ends_first(
    gate: NoveltyGate,
) -> None:
    def run(told: list[Any], order: Callable[[list[Job]], list[Job]]) -> ListJournal:
        journal = ListJournal(list(told))
        search = searching(
            by_graph(gate, cycles=2, candidates=6),
            journal=journal,
            executor=InlineExecutor(order, alike=20),
            answer=unlike_the_pool,
            sets=("digits", "mnist"),
        )
        walked(search)
        return journal

    def reversed_order(jobs: list[Job]) -> list[Job]:
        return jobs[::-1]

    whole = run([], list)
    verdicts = {row.verdict for row in whole.rows()}
    assert (Verdict.NOT_NOVEL in verdicts) is (gate is NoveltyGate.training)
    assert any(row.novelty == 1.0 for row in whole.rows())
    for length in range(len(whole.told) + 1):
        assert run(whole.told[:length], reversed_order).told == whole.told, length


def test_the_first_of_a_graph_may_win_a_race_and_the_second_is_not_raced() -> None:
    executor = InlineExecutor(alike=10)
    config = by_graph(cycles=1, candidates=3)
    config.confirm.race = 2
    search = searching(
        config, executor=executor, answer=in_order(80, 85, 90), pool=[baseline("one", 30)]
    )
    walked(search)
    assert [one.baseline_id for one in search.memory.pools["digits"]] == [
        "one",
        "c00-s000",
        "c00-s002",
    ]


def test_without_the_measure_nothing_is_traced() -> None:
    executor = InlineExecutor()
    rows = walked(searching(configured(), executor=executor))
    assert not any(job.trace for job in executor.jobs)
    assert {row.graph for row in rows} == {None}


def test_definitions_tell_the_measures_apart() -> None:
    config, found = configured(), []
    for measure in NoveltyMeasure:
        config.novelty.measure = measure
        found.append(dict(novelty_definition(config)))
    assert [each["measure"] for each in found] == [
        "minhash-jaccard",
        "minhash-jaccard of trees",
        "equal graphs",
    ]
    assert found[2]["torch"]
