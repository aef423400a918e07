"""Samples are seeded, balanced over families, and spend everything before anything twice."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltanas.archive.sampling import sample_baselines
from deltanas.records import Baseline, Recipe

RECIPE = Recipe(lr=0.1, momentum=0.9, batch=64, image_size=32, flip=False)


def pool_of(**sizes: int) -> list[Baseline]:
    """Return a pool with so many baselines of each family."""
    return [
        Baseline(baseline_id=f"{family}-{i:03d}", family=family, code="", recipe=RECIPE)
        for family, size in sizes.items()
        for i in range(size)
    ]


def ids(sample: list[Baseline]) -> list[str]:
    return [baseline.baseline_id for baseline in sample]


def test_families_are_equally_likely_whatever_their_sizes() -> None:
    sample = sample_baselines(pool_of(big=5000, middle=1000, small=400), 900, random.Random(0))
    counts = Counter(baseline.family for baseline in sample)
    assert all(abs(counts[family] - 300) < 60 for family in ("big", "middle", "small"))


def test_members_of_a_family_are_equally_likely() -> None:
    pool = pool_of(only=100)
    first = Counter(
        sample_baselines(pool, 1, random.Random(seed))[0].baseline_id for seed in range(3000)
    )
    assert len(first) == 100
    assert max(first.values()) < 60


def test_the_sample_is_not_the_alphabetical_head() -> None:
    sample = sample_baselines(pool_of(ga=1000), 50, random.Random(1))
    assert max(ids(sample)) > "ga-900"


def test_a_seed_replays_and_the_order_of_the_pool_does_not_matter() -> None:
    pool = pool_of(a=30, b=30, c=3)
    shuffled = random.Random(9).sample(pool, len(pool))
    sample = sample_baselines(pool, 20, random.Random(5))
    assert sample == sample_baselines(shuffled, 20, random.Random(5))
    assert sample != sample_baselines(pool, 20, random.Random(6))


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    n=st.integers(0, 40),
    seed=st.integers(0, 99),
)
def test_nothing_comes_twice_before_everything_came_once(
    sizes: list[int], n: int, seed: int
) -> None:
    pool = pool_of(**{f"f{i}": size for i, size in enumerate(sizes)})
    counts = Counter(ids(sample_baselines(pool, n, random.Random(seed))))
    assert counts.total() == n
    rounds = [counts[baseline.baseline_id] for baseline in pool]
    assert max(rounds) - min(rounds) <= 1


def test_what_does_not_fit_is_replaced_and_asked_about_once() -> None:
    asked: list[str] = []

    def fits(baseline: Baseline) -> bool:
        asked.append(baseline.baseline_id)
        return baseline.baseline_id.endswith("1")

    sample = sample_baselines(pool_of(a=3, b=2), 4, random.Random(0), fits=fits)
    assert Counter(ids(sample)) == {"a-001": 2, "b-001": 2}
    refused = [name for name in asked if not name.endswith("1")]
    assert len(refused) == len(set(refused)) == 3


def test_a_pool_in_which_nothing_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="of 5 baselines none fits"):
        sample_baselines(pool_of(a=5), 1, random.Random(0), fits=lambda baseline: False)
    with pytest.raises(ValueError, match="of 0 baselines none fits"):
        sample_baselines([], 1, random.Random(0))


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="n is -1"):
        sample_baselines(pool_of(a=1), -1, random.Random(0))
    with pytest.raises(ValueError, match="2 baselines have 1 ids"):
        sample_baselines(pool_of(a=1) * 2, 1, random.Random(0))
