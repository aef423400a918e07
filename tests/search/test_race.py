"""Nothing joins the pool on one seed alone: children are raced against their parents."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deltanas.config.schema import Config
from deltanas.records import Evaluation, Job, Purpose, Retraining, Verdict
from deltanas.search.strength import NOISE, lower_bound
from tests.fakes import InlineExecutor, ListJournal, ListTuner, baseline, delta, width_of
from tests.search.test_loop import configured, searching, walked

SEED = 42  # the search's own


class NoisyExecutor(InlineExecutor):
    """As the inline one; what a seed adds to a width is `noise[width](seed)` points."""

    def __init__(self, **noise: Any) -> None:
        super().__init__()
        self.noise = {int(key[1:]): each for key, each in noise.items()}

    def evaluate(self, job: Job) -> Evaluation:
        found = super().evaluate(job)
        if found.proxy_accuracy is None:
            return found
        accuracy = (width_of(job.code) + self._added(job)) / 100
        return Evaluation(
            job_id=job.job_id,
            verdict=Verdict.TRAINED,
            proxy_accuracy=accuracy,
            first_epoch_accuracy=accuracy,
            test_accuracy=accuracy,
            curve=(accuracy,),
        )

    def _added(self, job: Job) -> float:
        noise = self.noise.get(width_of(job.code))
        return noise(job.seed) if noise else 0.0


def raced(**confirm: Any) -> Config:
    config = configured(cycles=1, candidates=1)
    config.confirm.race = 3
    for key, value in confirm.items():
        setattr(config.confirm, key, value)
    return config


def widened(width: int) -> Any:
    return lambda request: delta(request.slot.baseline.code, width)


def lucky(seed: int) -> float:
    """Thirty points under the search's seed only."""
    return 30.0 if seed == SEED else 0.0


def test_a_child_that_was_lucky_once_does_not_join() -> None:
    executor = NoisyExecutor(w25=lucky)
    search = searching(raced(), answer=widened(25), executor=executor, pool=[baseline("one", 30)])
    (row,) = walked(search)
    assert row.gain == pytest.approx(0.25)
    assert not row.admitted
    assert [one.baseline_id for one in search.memory.pools["digits"]] == ["one"]
    again = Counter(width_of(job.code) for job in executor.jobs if job.seed != SEED)
    assert again == {25: 1, 30: 1}  # one seed was enough to tell


def test_a_child_that_is_better_under_every_seed_joins() -> None:
    journal, executor = ListJournal(), NoisyExecutor()
    search = searching(
        raced(), answer=widened(60), executor=executor, journal=journal, pool=[baseline("one", 30)]
    )
    (row,) = walked(search)
    assert ("admit", "c00-s000") in journal.told
    assert not row.admitted  # when it was stored, nobody knew
    pool = {one.baseline_id: one for one in search.memory.pools["digits"]}
    assert pool["c00-s000"].parent_id == "one"
    assert search.memory.novelty.similarity(row.code) == (1.0, "c00-s000")
    again = [each for each in journal.told if isinstance(each, Retraining)]
    assert {each.purpose for each in again} == {Purpose.RACE}
    seeds = {each.number: each.seed for each in again}
    assert len(set(seeds.values()) | {SEED}) == 4
    assert Counter(each.network_id for each in again) == {"one": 3, "c00-s000": 3}


def test_a_gain_within_the_noise_is_no_gain() -> None:
    executor = NoisyExecutor(w31=lambda seed: random.Random(seed).choice((-5.0, 6.0)))
    config = raced(race=8)
    search = searching(config, answer=widened(31), executor=executor, pool=[baseline("one", 30)])
    walked(search)
    assert [one.baseline_id for one in search.memory.pools["digits"]] == ["one"]


def test_a_child_that_fails_under_a_fresh_seed_loses() -> None:
    class Failing(NoisyExecutor):
        def evaluate(self, job: Job) -> Evaluation:
            if job.seed != SEED and width_of(job.code) == 60:
                return Evaluation(job_id=job.job_id, verdict=Verdict.DIVERGED, reason="NaN")
            return super().evaluate(job)

    search = searching(raced(), answer=widened(60), executor=Failing(), pool=[baseline("one", 30)])
    walked(search)
    assert [one.baseline_id for one in search.memory.pools["digits"]] == ["one"]


def test_a_parent_is_trained_once_under_a_seed_whatever_its_children() -> None:
    executor = NoisyExecutor()
    config = raced()
    config.protocol.candidates = 2
    widths = iter((60, 70))
    search = searching(
        config,
        answer=lambda request: delta(request.slot.baseline.code, next(widths)),
        executor=executor,
        pool=[baseline("one", 30)],
    )
    walked(search)
    again = Counter(width_of(job.code) for job in executor.jobs if job.seed != SEED)
    assert again == {30: 3, 60: 3, 70: 3}


def test_of_two_winners_that_are_alike_the_first_joins() -> None:
    config = raced()
    config.protocol.candidates, config.novelty.threshold = 2, 0.9
    widths = iter((60, 61))
    long = f"+        self.numbers = {list(range(400))}\n"
    search = searching(
        config,
        answer=lambda request: delta(request.slot.baseline.code, next(widths)) + long,
        executor=NoisyExecutor(),
        pool=[baseline("one", 30)],
    )
    walked(search)
    assert [one.baseline_id for one in search.memory.pools["digits"]] == ["one", "c00-s000"]


def test_a_race_goes_on_from_any_prefix_of_what_was_stored(tmp_path: Path) -> None:
    def noise(seed: int) -> float:
        return random.Random(seed).gauss(0, 3)

    def run(told: list[Any]) -> tuple[ListJournal, list[str], int]:
        config = configured(cycles=3)
        config.confirm.race, config.lora.minimum_gain = 3, -1.0
        config.protocol.survey = 2
        executor = NoisyExecutor(**{f"w{width}": noise for width in range(100)})
        journal = ListJournal(list(told))
        search = searching(
            config, journal=journal, executor=executor, tuner=ListTuner(), directory=tmp_path
        )
        walked(search)
        return journal, [b.baseline_id for b in search.memory.pools["digits"]], len(executor.jobs)

    whole, pool, jobs = run([])
    assert any(name.startswith("c0") for name in pool)
    for length in range(len(whole.told) + 1):
        again, same_pool, fewer = run(whole.told[:length])
        assert again.told == whole.told, length
        assert same_pool == pool
        assert fewer <= jobs
    assert fewer == 0


def test_strength_trusts_a_network_the_less_the_fewer_its_seeds() -> None:
    assert lower_bound([0.9]) == pytest.approx(0.9 - NOISE)
    assert lower_bound([0.9] * 4) > lower_bound([0.9] * 2) > lower_bound([0.9])
    assert lower_bound([0.8, 1.0]) < lower_bound([0.9, 0.9])
    with pytest.raises(ValueError, match="one value or more"):
        lower_bound([])


def test_what_the_choosing_seed_said_of_a_child_does_not_count() -> None:
    executor = NoisyExecutor(w60=lambda seed: 20.0 if seed == SEED else 0.0)
    search = searching(raced(), answer=widened(60), executor=executor, pool=[baseline("one", 30)])
    walked(search)
    memory = search.memory
    assert memory.strength("digits", "c00-s000") == pytest.approx(lower_bound([0.6] * 3))
    assert memory.strength("digits", "one") == pytest.approx(lower_bound([0.3] * 4))
    assert memory.strength("digits", "nobody") is None


def test_baselines_are_scored_before_the_first_choice_where_that_is_asked_for() -> None:
    executor = InlineExecutor()
    config = configured(cycles=1, candidates=1)
    config.protocol.survey = 3
    search = searching(config, executor=executor)
    walked(search)
    assert {job.job_id for job in executor.jobs[:3]} == {"one", "two", "three"}
    assert [job.job_id for job in executor.jobs[3:]] == ["c00-s000"]


def test_what_was_raced_teaches_what_fresh_seeds_say(tmp_path: Path) -> None:
    tuner = ListTuner()
    config = raced()
    config.protocol.candidates, config.lora.minimum_gain = 4, -1.0
    widths = iter((25, 40, 25, 40))
    search = searching(
        config,
        answer=lambda request: delta(request.slot.baseline.code, next(widths)),
        executor=NoisyExecutor(w25=lucky, w40=lucky),
        pool=[baseline("one", 30), baseline("two", 31)],
        tuner=tuner,
        directory=tmp_path,
    )
    rows = walked(search)
    (lessons,) = tuner.lessons
    taught = {lesson.name: lesson.answers[0].reward for lesson in lessons}
    stored = {row.attempt_id: row for row in rows}
    assert taught.keys() <= stored.keys()
    for name, reward in taught.items():
        old = 0.30 if stored[name].parent_id == "one" else 0.31
        assert reward == pytest.approx(width_of(stored[name].code) / 100 - old)
        assert stored[name].gain == pytest.approx(reward + 0.30)


def test_what_was_not_raced_is_not_taught_on_one_seed() -> None:
    config = raced()
    config.novelty.threshold = 0.0  # everything is a near duplicate, so nothing is raced
    search = searching(config, answer=widened(60), pool=[baseline("one", 30)])
    (row,) = walked(search)
    assert row.gain is not None
    assert row.gain > 0
    assert search.memory.learned(row).gain is None
    search.memory.races = False
    assert search.memory.learned(row).gain == row.gain
