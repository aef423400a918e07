"""Selectors: who is drawn more, and that the same state gives the same choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from deltanas.config.choices import ParentChoice
from deltanas.records import Attempt, Baseline, Slot
from deltanas.search.parents import POPULATION, Aging, Balanced, Bandit, Selector, Tournament
from deltanas.search.parts import open_selector
from tests.fakes import baseline, delta
from tests.search.test_loop import configured, searching, walked

POOL = [baseline(f"n{number:02d}", number + 10) for number in range(20)]
STRENGTHS = {one.baseline_id: number / 20 for number, one in enumerate(POOL)}
MAKE: dict[str, Callable[[Any], Selector]] = {
    "balanced": lambda strength: Balanced(),
    "tournament": Tournament,
    "bandit": Bandit,
    "aging": Aging,
}
DIRECTED = ("tournament", "bandit", "aging")


def drawn(
    selector: Selector, pool: Sequence[Baseline], n: int, seed: int = 0, refused: str = ""
) -> list[str]:
    fits = lambda one: one.baseline_id != refused  # noqa: E731
    return [one.baseline_id for one in selector.choose(pool, n, Random(seed), fits)]


@pytest.mark.parametrize("name", MAKE)
def test_a_selector_returns_as_many_as_asked_that_fit_and_repeats_itself(name: str) -> None:
    chosen = drawn(MAKE[name](STRENGTHS.get), POOL, 50, refused="n19")
    assert len(chosen) == 50
    assert "n19" not in chosen
    assert chosen == drawn(MAKE[name](STRENGTHS.get), POOL, 50, refused="n19")
    with pytest.raises(ValueError, match="none fits"):
        MAKE[name](STRENGTHS.get).choose(POOL, 1, Random(0), lambda one: False)


@pytest.mark.parametrize("name", DIRECTED)
def test_strong_parents_are_drawn_more(name: str) -> None:
    counts = Counter(drawn(MAKE[name](STRENGTHS.get), POOL, 200))
    strong = sum(counts[f"n{number:02d}"] for number in range(15, 20))
    weak = sum(counts[f"n{number:02d}"] for number in range(5))
    assert strong > 2 * weak


@pytest.mark.parametrize("name", ["tournament", "bandit"])
def test_every_network_keeps_a_floor(name: str) -> None:
    assert set(drawn(MAKE[name](STRENGTHS.get), POOL, 1000)) == set(STRENGTHS)


@pytest.mark.parametrize("name", DIRECTED)
def test_without_any_score_all_are_drawn_alike(name: str) -> None:
    chosen = drawn(MAKE[name](lambda name: None), POOL, 20)
    assert set(chosen) == set(STRENGTHS)


def observed(selector: Selector, parent: Baseline, row: Attempt) -> None:
    slot = Slot(cycle=0, number=0, dataset="digits", baseline=parent)
    selector.observe(slot, replace(row, parent_id=parent.baseline_id))


def test_a_bandit_draws_a_network_less_after_it_was_edited_in_vain(
    make_attempt: Callable[..., Attempt],
) -> None:
    near = {one.baseline_id: 0.5 + number / 1000 for number, one in enumerate(POOL)}
    selector = Bandit(near.get)
    before = Counter(drawn(selector, POOL, 40))
    for _ in range(200):
        observed(selector, POOL[-1], make_attempt())
    after = Counter(drawn(selector, POOL, 40))
    assert after["n19"] < before["n19"]


def test_a_bandit_counts_edits_of_descendants_as_visits(
    make_attempt: Callable[..., Attempt],
) -> None:
    child = replace(baseline("child", 99), parent_id="n19")
    strengths = {**STRENGTHS, "child": 0.9}
    plain, visited = Bandit(strengths.get), Bandit(strengths.get)
    for selector in (plain, visited):
        drawn(selector, [*POOL, child], 1)
    for _ in range(300):
        observed(visited, child, make_attempt())
    counts = [Counter(drawn(each, [*POOL, child], 60)) for each in (plain, visited)]
    assert counts[1]["n19"] <= counts[0]["n19"]
    assert counts[1]["child"] < counts[0]["child"]


def test_evolution_forgets_the_oldest() -> None:
    children = [
        replace(baseline(f"c{number:03d}", 50), parent_id="n00") for number in range(POPULATION)
    ]
    strengths = {**{name: 0.9 for name in STRENGTHS}, **{c.baseline_id: 0.1 for c in children}}
    selector = Aging(strengths.get)
    assert set(drawn(selector, POOL, 20)) <= set(STRENGTHS)
    few = drawn(selector, [*POOL, *children[:10]], 40)
    assert set(few) <= set(STRENGTHS)  # they are stronger, and still alive
    all_dead = drawn(selector, [*POOL, *children], 40)
    assert set(all_dead) <= {child.baseline_id for child in children}


def test_evolution_edits_every_member_of_its_first_population_once() -> None:
    scores: dict[str, float] = {}
    selector = Aging(scores.get)
    first = drawn(selector, POOL, 12)
    scores |= {name: 0.5 for name in first}
    second = drawn(selector, POOL, 8, seed=1)
    assert sorted([*first, *second]) == sorted(STRENGTHS)


@pytest.mark.parametrize("choice", ParentChoice)
def test_every_choice_searches(choice: ParentChoice) -> None:
    config = configured(cycles=4, candidates=5)
    config.parents, config.protocol.survey = choice, 3
    rows = walked(
        searching(config, answer=lambda r: delta(r.slot.baseline.code, 10 + r.seed % 89))
    )
    assert len(rows) == 20
    assert type(open_selector(config, STRENGTHS.get)).__name__.lower() == choice
