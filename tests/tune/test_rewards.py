"""From outcomes to rewards and lessons: order, noise, frequency, and balance."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltanas.tune.rewards import FAILED, PAR, Outcome, noise, reward, rewards_of
from deltanas.tune.siblings import in_turns, lessons_of

GAINS = st.floats(-1, 1)
DEVIATIONS = st.floats(1e-3, 1)


def outcome(number: int, gain: float | None, **changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "attempt_id": f"c00-s{number:03d}",
        "cycle": 0,
        "baseline_id": "b",
        "family": "f",
        "dataset": "digits",
        "prompt": "ask",
        "answer": f"say {number}",
        "finished": True,
        "sampled": True,
        "gain": gain,
        "network": "" if gain is None else f"n{number}",
    }
    return Outcome(**(fields | changes))


def rewarded(*outcomes: Outcome, **repeats: dict[int, float]) -> list[float]:
    known = {("digits", name.replace("_", "-")): one for name, one in repeats.items()}
    found = rewards_of(outcomes, known, 0.02)
    return [found[one.attempt_id] for one in outcomes]


@given(GAINS, GAINS, DEVIATIONS)
def test_a_larger_gain_is_never_worth_less_and_none_is_worth_par(
    one: float, other: float, deviation: float
) -> None:
    low, high = sorted((one, other))
    assert FAILED < reward([low], deviation) <= reward([high], deviation) < 1
    assert reward([0.0], deviation) == PAR
    assert reward([low], deviation) + reward([-low], deviation) == pytest.approx(2 * PAR)


@given(st.floats(1e-3, 1), DEVIATIONS, DEVIATIONS)
def test_a_gain_means_less_the_noisier_it_is(gain: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert reward([gain], high) <= reward([gain], low)
    assert reward([gain], low) <= reward([gain] * 3, low)  # and more if it is measured again
    assert reward([gain], gain / math.sqrt(2)) == pytest.approx(0.75)


@given(st.lists(st.floats(0, 1), max_size=6), DEVIATIONS)
def test_noise_lies_between_the_prior_and_what_was_seen(seen: list[float], prior: float) -> None:
    found = noise(seen, prior)
    if len(seen) < 2:
        assert found == pytest.approx(prior)
        return
    centre = sum(seen) / len(seen)
    own = math.sqrt(sum((one - centre) ** 2 for one in seen) / (len(seen) - 1))
    low, high = sorted((own, prior))
    assert low - 1e-9 <= found <= high + 1e-9
    assert noise(seen * 50, prior) == pytest.approx(own, rel=0.5, abs=prior / 5)


def test_what_failed_is_worth_nothing_however_often_it_did() -> None:
    again = [outcome(n, None, answer="same") for n in range(3)]
    assert rewarded(outcome(9, -1.0), *again)[1:] == [0.0] * 3
    assert rewarded(outcome(9, -1.0), *again)[0] > 0


@given(st.integers(1, 9), st.integers(0, 9))
def test_a_reward_is_divided_by_how_often_the_run_came_to_its_outcome(
    times: int, others: int
) -> None:
    same = [outcome(n, 0.1, network="n", answer=f"way {n}") for n in range(times)]
    more = [outcome(20 + n, 0.1) for n in range(others)]
    alone = reward([0.1], 0.02)
    assert rewarded(*same, *more) == [alone / times] * times + [alone] * others


def test_equal_networks_on_other_data_sets_are_other_outcomes() -> None:
    one, other = (outcome(n, 0.1, network="n", dataset=name) for n, name in enumerate("ab"))
    assert rewarded(one, other) == [reward([0.1], 0.02)] * 2


def test_fresh_seeds_stand_for_the_gain_that_may_have_been_luck() -> None:
    lucky = outcome(1, 0.5)
    parent = {0: 0.70, 1: 0.80, 2: 0.90}
    (found,) = rewarded(lucky, b=parent, c00_s001={0: 0.60, 2: 0.70, 5: 0.99})
    deviation = noise(list(parent.values()), 0.02)
    assert found == reward([0.60 - 0.70, 0.70 - 0.90], deviation) < PAR
    (alone,) = rewarded(lucky, b=parent)
    assert alone == reward([0.5], deviation) < reward([0.5], 0.02)


def lessons(outcomes: list[Outcome], **changes: Any) -> list[Any]:
    rewards = rewards_of(outcomes, {}, 0.02)
    options: dict[str, Any] = {"limit": 100, "per_lesson": 8, "spread": 0.1}
    return lessons_of(outcomes, rewards, **(options | changes), rng=random.Random(0))


def test_answers_to_one_prompt_are_one_lesson_best_first_none_twice() -> None:
    given = [outcome(0, None), outcome(1, 0.5), outcome(2, -0.1), outcome(3, None, answer="say 0")]
    (lesson,) = lessons(given)
    assert (lesson.name, lesson.prompt) == ("digits/b", "ask")
    assert [answer.text for answer in lesson.answers] == ["say 1", "say 2", "say 0"]
    (shorter,) = lessons([outcome(n, n / 10) for n in range(5)], per_lesson=3)
    assert [answer.text for answer in shorter.answers] == ["say 4", "say 3", "say 0"]


def test_a_prompt_whose_rewards_tie_is_left_out_unless_each_answer_is_judged_alone() -> None:
    tie = [outcome(0, 0.1), outcome(1, 0.101), outcome(2, None, prompt="other")]
    assert lessons(tie) == []
    assert len(lessons(tie, spread=0.0)) == 2


def test_data_sets_take_turns_and_in_each_its_families_within_the_limit() -> None:
    kinds = [(name, family) for name in "aab" for family in "xxxy"]
    outcomes = [
        outcome(2 * n + bad, None if bad else 0.1, prompt=f"ask {n}", **who)
        for n, (name, family) in enumerate(kinds)
        for who in [{"dataset": name, "family": family, "baseline_id": family}]
        for bad in (0, 1)
    ]
    every = [one.name for one in lessons(outcomes)]
    assert len(every) == 12
    assert len({name[0] for name in every[:2]}) == 2
    assert set(every[:4]) == {"a/x", "a/y", "b/x", "b/y"}
    for limit in (2, 5, 9):
        assert [one.name for one in lessons(outcomes, limit=limit)] == every[: limit // 2]


def test_turns_are_taken_until_all_is_taken() -> None:
    assert list(in_turns(["ab", "", "cde"])) == list("acbde")


def test_an_answer_that_was_cut_stays_cut() -> None:
    cut = replace(outcome(1, None), finished=False)
    assert cut.lesson().answers[0].finished is False
    (lesson,) = lessons([cut, outcome(2, 0.1)])
    assert [answer.finished for answer in lesson.answers] == [True, False]
