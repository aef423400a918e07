"""The stage after the search: what is chosen, what is trained, and that it goes on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from deltanas.config.schema import Config
from deltanas.record.store import RunStore
from deltanas.records import Job, Purpose
from deltanas.report.confirmation import confirmation
from deltanas.search.confirm import Confirm
from deltanas.search.journal import RunJournal
from tests.fakes import RECIPE, InlineExecutor, delta, network
from tests.search.test_loop import configured, searching


def confirming(**confirm: int) -> Config:
    config = configured(cycles=2, candidates=4)
    for key, value in confirm.items():
        setattr(config.confirm, key, value)
    return config


def confirmed(config: Config, file: Path) -> list[Job]:
    """Search and confirm; return the jobs of the second."""
    executor = InlineExecutor()
    with RunStore(file) as store:
        search = searching(
            config,
            journal=RunJournal(store),
            executor=executor,
            answer=lambda r: delta(r.slot.baseline.code, 10 + r.seed % 89),
        )
        for _ in search.cycles():
            pass
        searched = len(executor.jobs)
        Confirm(config=config, store=store, fresh=search.race.fresh, memory=search.memory).run()
    return executor.jobs[searched:]


def test_a_sample_is_trained_with_its_parents_under_fresh_seeds(tmp_path: Path) -> None:
    jobs = confirmed(confirming(sample=4, seeds=3), tmp_path / "run.sqlite")
    with RunStore(tmp_path / "run.sqlite", read_only=True) as store:
        run = store.read()
    sample = run.meta["confirm"]["sample"]
    rows = {row.attempt_id: row for row in run.attempts}
    assert len(sample) == 4
    names = {*sample, *(rows[name].parent_id for name in sample)}
    assert Counter(each.network_id for each in run.retrainings) == dict.fromkeys(names, 3)
    assert len(jobs) == 3 * len(names)
    assert {each.purpose for each in run.retrainings} == {Purpose.CONFIRM}
    assert 42 not in {job.seed for job in jobs}
    assert confirmation(run).n == 4


def test_the_best_by_proxy_and_as_many_baselines_are_chosen(tmp_path: Path) -> None:
    confirmed(confirming(best=2), tmp_path / "run.sqlite")
    with RunStore(tmp_path / "run.sqlite", read_only=True) as store:
        run = store.read()
    chosen = run.meta["confirm"]
    found = sorted((r for r in run.attempts if r.distinct), key=lambda r: -(r.proxy_accuracy or 0))
    assert chosen["best"] == [row.attempt_id for row in found[:2]]
    assert chosen["baselines"] == [["digits", "three"], ["digits", "two"]]
    figures = confirmation(run)
    assert figures.best_accuracy == found[0].proxy_accuracy
    assert figures.best_gain == pytest.approx((found[0].proxy_accuracy or 0) - 0.5)
    assert figures.error_baselines == pytest.approx(1 - 0.45)


def test_where_children_are_raced_none_leads_on_one_seed_alone(tmp_path: Path) -> None:
    confirmed(confirming(best=3, race=2), tmp_path / "run.sqlite")
    with RunStore(tmp_path / "run.sqlite", read_only=True) as store:
        run = store.read()
    raced = {e.network_id for e in run.retrainings if e.purpose is Purpose.RACE}
    found = {row.attempt_id for row in run.attempts if row.distinct}
    best = run.meta["confirm"]["best"]
    assert set(best[: len(raced & found)]) <= raced


def test_what_is_stored_is_not_trained_again(tmp_path: Path) -> None:
    config = confirming(sample=3, best=2)
    file = tmp_path / "run.sqlite"
    assert confirmed(config, file)
    with RunStore(file, read_only=True) as store:
        before = store.read()
    assert confirmed(config, file) == []
    with RunStore(file, read_only=True) as store:
        assert store.read() == before


def test_nothing_is_trained_where_nothing_is_asked_for(tmp_path: Path) -> None:
    assert confirmed(confirming(), tmp_path / "run.sqlite") == []


def test_a_child_that_failed_in_its_race_does_not_lead() -> None:
    search = searching(confirming(race=2, best=2))
    memory = search.memory
    for name, width in (("raced", 50), ("failed", 90)):
        memory.scores["digits", name] = InlineExecutor().evaluate(
            Job(job_id=name, code=network(width), recipe=RECIPE)
        )
    memory.add_fresh("digits", "raced", {0: 0.5})
    memory.add_fresh("digits", "failed", {})
    confirm = Confirm(
        config=search.config,
        store=None,  # type: ignore[arg-type]
        fresh=search.race.fresh,
        memory=memory,
    )
    found = confirm.best_of([("digits", "failed"), ("digits", "raced")], raced_first=True)
    assert [name for _, name in found] == ["raced", "failed"]
