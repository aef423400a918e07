"""The figures of a run: definitions, intervals, and None for what was not measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltanas.records import Attempt, CycleSummary, Run, Stage, Summary, Verdict
from deltanas.report import keys
from deltanas.report.metrics import (
    cycle_metrics,
    is_useful,
    run_summary,
    study_metrics,
    summarise_cycle,
    wilson_interval,
)

KEYS = [
    "run_id",
    "llm",
    "dataset",
    "archive",
    "protocol",
    "ablation",
    "seed",
    "cycles",
    "attempted",
    "valid",
    "valid_rate",
    "valid_rate_low",
    "valid_rate_high",
    "valid_rate_excl_infra",
    "useful_rate",
    "infrastructure_failures",
    "distinct_valid",
    "distinct_rate",
    "confirmed_n",
    "confirmed_improved",
    "confirmed_improved_rate",
    "confirmed_improved_low",
    "confirmed_improved_high",
    "improved_networks",
    "confirmed_best_accuracy",
    "confirmed_best_gain",
    "top10_error",
    "top10_error_baselines",
    "race_epochs",
    "confirm_epochs",
    "repairs",
    "valid_at_repair",
    "mean_first_epoch_accuracy",
    "best_first_epoch_accuracy",
    "mean_gain",
    "mean_delta_lines",
    "mean_delta_tokens",
    "mean_full_lines",
    "reduction_lines",
    "reduction_tokens",
    "spearman_rho",
    "spearman_low",
    "spearman_high",
    "spearman_n",
    "prompt_tokens",
    "output_tokens",
    "wall_seconds",
    "seconds_start",
    "seconds_baselines",
    "seconds_generate",
    "seconds_screen",
    "seconds_evaluate",
    "seconds_race",
    "seconds_tune",
    "seconds_record",
    "seconds_confirm",
    "seconds_study",
    "verdicts",
]
COUNTS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_wilson_matches_published_values(successes: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(COUNTS)
def test_wilson_is_the_interval_of_scipy(counts: tuple[int, int]) -> None:
    from scipy.stats import binomtest

    expected = binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert wilson_interval(*counts) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(COUNTS)
def test_wilson_holds_the_rate_within_bounds(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    if successes < n:
        more = wilson_interval(successes + 1, n)
        assert more[0] > low
        assert more[1] >= high


def test_who_learned_for_longer_is_valid_but_in_no_accuracy(
    make_attempt: Callable[..., Attempt],
) -> None:
    rows = [make_attempt(0, 0), make_attempt(0, 1, first_epoch_accuracy=0.99, overworked=True)]
    found = summarise_cycle(0, rows)
    assert found.valid == 2
    assert found.mean_first_epoch_accuracy == rows[0].first_epoch_accuracy
    assert found.best_first_epoch_accuracy == rows[0].first_epoch_accuracy
    assert found.mean_gain == rows[0].gain


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"found {successes} of {n}"):
        wilson_interval(successes, n)


def test_summary_has_exactly_the_keys_of_the_contract(summary: Summary) -> None:
    assert list(summary.flat()) == KEYS
    assert Summary.from_flat(summary.flat()) == summary
    verdicts = summary.verdicts
    assert list(verdicts) == [verdict.value for verdict in Verdict]
    assert sum(verdicts.values()) == summary.attempted
    assert verdicts["syntax"] == 0


def test_summary_follows_the_definitions(summary: Summary) -> None:
    expected = {
        "attempted": 8,
        "valid": 5,
        "valid_rate": 5 / 8,
        "valid_rate_excl_infra": 5 / 7,
        "useful_rate": 2 / 8,
        "infrastructure_failures": 1,
        "distinct_valid": 4,  # one of the five stands on the score of another
        "distinct_rate": 4 / 8,
        "confirmed_n": 2,
        "confirmed_improved": 1,
        "confirmed_improved_rate": 0.5,
        "confirmed_best_accuracy": (0.75 + 0.875) / 2 - 0.125,
        "confirmed_best_gain": (0.75 + 0.875 - 0.375 - 0.5) / 2,
        "top10_error": 1 - ((0.75 + 0.875 + 0.5 + 0.625) / 4 - 0.125),
        "top10_error_baselines": 1 - ((0.375 + 0.5) / 2 - 0.125),
        "race_epochs": 0,
        "confirm_epochs": 8,
        "mean_first_epoch_accuracy": (0.5 + 0.1 + 0.875 + 0.5 + 0.5) / 5,
        "best_first_epoch_accuracy": 0.875,
        "mean_gain": (0.125 * 4 - 0.3) / 5,
        "mean_delta_lines": 6.0,
        "mean_full_lines": 60.0,
        "reduction_lines": 0.9,
        "reduction_tokens": 0.85,
        "spearman_rho": 0.8,
        "spearman_n": 4,
        "prompt_tokens": 800,
        "output_tokens": 512,
        "seconds_start": 10.0,
        "seconds_baselines": 16.0,
        "seconds_generate": 4.0,
        "seconds_screen": 1.0,
        "seconds_evaluate": 2.0,
        "seconds_tune": 4.0,
        "seconds_record": 0.5,
        "seconds_study": 50.0,
    }
    assert {key: summary.flat()[key] for key in expected} == pytest.approx(expected)


def test_what_was_not_measured_is_none(make_attempt: Callable[..., Attempt]) -> None:
    failed = make_attempt(
        verdict=Verdict.NO_DELTA, delta_lines=None, delta_tokens=None, full_lines=None
    )
    for attempts, rate in (([failed], 0.0), ([], None)):
        summary = run_summary(
            Run(attempts=tuple(attempts)),
            run_id="r",
            llm="tiny",
            dataset="digits",
            archive="builtin",
            protocol="quick",
            ablation=None,
            seed=0,
            wall_seconds=1.0,
            seconds={},
        )
        assert summary.valid_rate == rate
        first = KEYS.index("mean_first_epoch_accuracy")
        unmeasured = [key for key in KEYS[first : first + 11] if summary.flat()[key] is not None]
        assert unmeasured == []
        assert summary.spearman_n == 0


def test_only_infrastructure_failures_leave_no_rate_without_them(
    make_attempt: Callable[..., Attempt],
) -> None:
    summary = summarise_cycle(0, [make_attempt(verdict=Verdict.INFRASTRUCTURE)])
    assert (summary.attempted, summary.valid, summary.infrastructure_failures) == (1, 0, 1)


def test_an_interrupted_cycle_counts_its_time(
    attempts: list[Attempt], cycles: list[CycleSummary]
) -> None:
    summary = run_summary(
        Run(attempts=tuple(attempts), cycles=tuple(cycles[:1])),
        run_id="r",
        llm="tiny",
        dataset="digits",
        archive="builtin",
        protocol="quick",
        ablation="no_lora",
        seed=0,
        wall_seconds=1.0,
        seconds={},
    )
    assert summary.cycles == 2
    assert summary.seconds[Stage.evaluate] == cycles[0].seconds[Stage.evaluate] + 4 * 0.25


@pytest.mark.parametrize(
    ("changes", "useful"),
    [
        ({"admitted": True}, True),
        ({"admitted": False}, False),
        ({"admitted": True, "degenerate": True}, False),
        ({"admitted": True, "reused_from": "c00-s000"}, True),
        ({"admitted": False, "verdict": Verdict.SHAPE}, False),
    ],
)
def test_useful_is_valid_and_better_than_the_majority_and_admitted(
    make_attempt: Callable[..., Attempt], changes: dict[str, object], useful: bool
) -> None:
    assert is_useful(make_attempt(**changes)) is useful


def test_a_cycle_refuses_attempts_of_another(make_attempt: Callable[..., Attempt]) -> None:
    with pytest.raises(ValueError, match=r"cycle 1 cannot count .*c00-s000"):
        summarise_cycle(1, [make_attempt(0, 0)])


def test_every_metric_has_a_title_and_unmeasured_ones_are_left_out(
    cycles: list[CycleSummary], summary: Summary
) -> None:
    logged = cycle_metrics(cycles[0]) | study_metrics(summary)
    assert set(logged) == set(keys.TITLES) | {keys.CYCLE}
    assert logged[keys.VALID_RATE] == 0.5
    empty = cycle_metrics(summarise_cycle(3, []))
    assert keys.VALID_RATE not in empty
    assert empty[keys.CYCLE] == 3
