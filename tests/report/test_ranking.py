"""Spearman's rho: against scipy, within groups, and silent where it means nothing."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltanas.records import Finalist
from deltanas.report.ranking import fidelity, noise_ceiling, proxy_fidelity, spearman

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


def test_the_order_in_which_finalists_end_changes_no_interval(finalists: list[Finalist]) -> None:
    rng = random.Random(0)
    (one, *_) = (each for each in finalists if each.final_accuracy is not None)
    whole = [
        replace(one, attempt_id=str(n), proxy_accuracy=rng.random(), final_accuracy=rng.random())
        for n in range(9)
    ]
    found = {proxy_fidelity(rng.sample(whole, len(whole)), seed=42) for _ in range(9)}
    assert len(found) == 1


def test_finalists_that_failed_are_left_out(finalists: list[Finalist]) -> None:
    found = proxy_fidelity(finalists, seed=0)
    assert found.rho == pytest.approx(0.8)
    assert found.n == 4


def ended(
    name: str, final: float | None, *, proxy: float = 0.5, dataset: str = "svhn"
) -> Finalist:
    return Finalist(attempt_id=name, dataset=dataset, proxy_accuracy=proxy, final_accuracy=final)


def test_a_study_tells_datasets_apart(finalists: list[Finalist]) -> None:
    reversed_ones = [ended(f"s{i}", 0.9 - i / 10, proxy=0.1 + i / 10) for i in range(4)]
    found = fidelity([*finalists, *reversed_ones], [], seed=0)
    assert list(found.by_dataset) == ["digits", "svhn"]
    assert found.by_dataset["digits"] == proxy_fidelity(finalists, seed=0)
    assert found.by_dataset["svhn"].rho == pytest.approx(-1)
    assert found.pooled.rho == pytest.approx((0.8 - 1) / 2)
    assert found.pooled.n == 8


def test_the_noise_ceiling_is_the_rho_of_a_proxy_without_noise() -> None:
    rng = random.Random(5)
    truths = [rng.gauss(0, 1) for _ in range(1500)]
    first = [ended(f"n{i}", t + rng.gauss(0, 0.7), proxy=t) for i, t in enumerate(truths)]
    second = [ended(f"n{i}", t + rng.gauss(0, 0.7)) for i, t in enumerate(truths)]
    found = noise_ceiling(first, second, seed=0)
    noiseless = proxy_fidelity(first, seed=0).rho
    assert found.rho == pytest.approx(noiseless, abs=0.03)
    assert noiseless is not None
    assert found.agreement.rho is not None
    assert found.agreement.rho < noiseless - 0.1


def test_the_noise_ceiling_pairs_a_repeat_with_its_own_finalist(
    finalists: list[Finalist],
) -> None:
    again = [replace(f, final_accuracy=0.5) for f in finalists[4:]]  # the first time it failed
    again += [ended("stranger", 0.1), replace(finalists[0], final_accuracy=None)]
    again += [replace(f, final_accuracy=1 - f.proxy_accuracy) for f in reversed(finalists[:4])]
    found = noise_ceiling(finalists, again, seed=0)
    assert found.agreement.n == 4
    assert found.agreement.rho == pytest.approx(-0.8)
    assert found.rho == 0  # seeds that disagree leave nothing to be seen


def test_the_ceiling_s_interval_is_the_root_of_the_agreement_s(finalists: list[Finalist]) -> None:
    found = noise_ceiling(finalists, [*reversed(finalists)], seed=0)
    assert (found.rho, found.high) == (1, 1)
    swapped = [replace(f, final_accuracy=f.proxy_accuracy) for f in finalists]
    found = noise_ceiling(finalists, swapped, seed=0)
    assert found.agreement.low is not None
    assert found.rho == pytest.approx(math.sqrt(0.8))
    assert found.low == pytest.approx(math.sqrt(max(0, found.agreement.low)))


def test_without_four_repeats_there_is_no_ceiling(finalists: list[Finalist]) -> None:
    found = noise_ceiling(finalists, finalists[:3], seed=0)
    assert (found.rho, found.low, found.high, found.agreement.n) == (None, None, None, 3)
