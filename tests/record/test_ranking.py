"""Spearman's rho: against scipy, within groups, and silent where it means nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltanas.record.ranking import proxy_fidelity, spearman
from deltanas.records import Finalist

PAIRS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=4, max_size=20)


@settings(max_examples=50, deadline=None)
@given(PAIRS)
def test_rho_of_one_group_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    from scipy.stats import spearmanr

    x, y = zip(*pairs, strict=True)
    found = spearman(x, y, seed=0, resamples=50)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert (found.rho, found.low, found.high) == (None, None, None)
    else:
        assert found.rho == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
        assert found.low is not None
        assert found.high is not None
        assert -1 <= found.low <= found.high <= 1


def test_interval_is_that_of_scipy_s_bootstrap() -> None:
    from scipy.stats import bootstrap, spearmanr

    rng = random.Random(3)
    x = [rng.random() for _ in range(24)]
    y = [value + 0.4 * rng.random() for value in x]
    expected = bootstrap(
        (x, y),
        lambda a, b: spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=1,
    ).confidence_interval
    found = spearman(x, y, seed=1)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.04)


def test_differences_between_groups_are_no_correlation() -> None:
    """Two groups, each perfectly reversed, whose means rise together."""
    x = [1.0, 2.0, 3.0, 11.0, 12.0, 13.0]
    y = [3.0, 2.0, 1.0, 13.0, 12.0, 11.0]
    pooled = spearman(x, y, seed=0)
    assert pooled.rho is not None
    assert pooled.rho > 0.5
    assert spearman(x, y, groups="aaabbb", seed=0).rho == pytest.approx(-1)


def test_a_group_of_one_does_not_count() -> None:
    found = spearman([1, 2, 3, 4, 99], [1, 2, 3, 4, 0], groups="aaaab", seed=0)
    assert found.rho == pytest.approx(1)
    assert found.n == 4


@pytest.mark.parametrize(
    ("x", "y", "n"),
    [([], [], 0), ([1, 2, 3], [1, 2, 3], 3), ([1, 1, 1, 1], [1, 2, 3, 4], 4)],
)
def test_too_few_or_constant_pairs_have_no_rho(x: list[float], y: list[float], n: int) -> None:
    found = spearman(x, y, seed=0)
    assert (found.rho, found.low, found.high, found.n) == (None, None, None, n)


def test_the_same_seed_gives_the_same_interval() -> None:
    x, y = [1, 2, 3, 4, 5, 6, 7, 8], [2, 1, 4, 3, 6, 5, 8, 7]
    assert spearman(x, y, seed=5) == spearman(x, y, seed=5)
    with pytest.raises(ValueError, match="must match, found 8, 7, 8"):
        spearman(x, y[1:], seed=5)


def test_finalists_that_failed_are_left_out(finalists: list[Finalist]) -> None:
    found = proxy_fidelity(finalists, seed=0)
    assert found.rho == pytest.approx(0.8)
    assert found.n == 4
