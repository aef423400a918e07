"""What fresh seeds say: improved under every one, and the best of those chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from deltanas.records import Attempt, Purpose, Retraining, Run, Verdict
from deltanas.report.confirmation import Confirmation, confirmation, confirmed_best, leads
from deltanas.report.metrics import run_summary

MakeAttempt = Callable[..., Attempt]
PARENT = (0.5, 0.5, 0.5)


def again(
    name: str, accuracies: Sequence[float | None], purpose: Purpose = Purpose.CONFIRM
) -> list[Retraining]:
    """Return a network's epochs; its test accuracies are a tenth lower."""
    return [
        Retraining(
            network_id=name,
            dataset="digits",
            purpose=purpose,
            number=number,
            seed=number,
            verdict=Verdict.DIVERGED if value is None else Verdict.TRAINED,
            validation_accuracy=value,
            test_accuracy=None if value is None else value - 0.1,
        )
        for number, value in enumerate(accuracies)
    ]


@pytest.fixture
def run(make_attempt: MakeAttempt) -> Callable[..., Run]:
    """Return a function that makes a run of children of one parent, `plain-a`."""

    def make(
        children: Mapping[str, Sequence[float | None]],
        baselines: Mapping[str, Sequence[float | None]] | None = None,
        sample: Sequence[str] = (),
        best: Sequence[str] = (),
        **others: Any,
    ) -> Run:
        known = {"plain-a": PARENT, **(baselines or {})}
        rows = [make_attempt(0, slot, attempt_id=name) for slot, name in enumerate(children)]
        spent = [e for name, values in {**children, **known}.items() for e in again(name, values)]
        chosen = {
            "sample": list(sample),
            "best": list(best),
            "baselines": [["digits", name] for name in baselines or {}],
            "seeds": len(PARENT),
        }
        return Run(
            attempts=tuple(rows), retrainings=tuple(spent), meta={"confirm": chosen}, **others
        )

    return make


@pytest.mark.parametrize(
    ("accuracies", "n", "improved"),
    [
        ((0.6, 0.6, 0.6), 1, 1),
        ((0.9, 0.9, 0.5), 1, 0),  # not under every seed
        ((0.4, 0.4, 0.4), 1, 0),
        ((0.6, None, 0.6), 1, 0),  # it failed under one
        ((0.6, 0.6), 0, 0),  # broken off
    ],
)
def test_improved_is_above_the_parent_under_every_seed(
    run: Callable[..., Run], accuracies: Sequence[float | None], n: int, improved: int
) -> None:
    found = confirmation(run({"a": accuracies}, sample=["a"]))
    assert (found.n, found.improved) == (n, improved)


def test_the_best_is_chosen_by_validation_and_told_by_test(run: Callable[..., Run]) -> None:
    found = confirmation(
        run(
            {"a": (0.6, 0.7, 0.8), "b": (0.9, 0.9, 0.3), "c": (0.9, 0.9, None)},
            baselines={"x": (0.5, 0.6, 0.7), "y": (0.4, 0.4, 0.4)},
            best=["a", "b", "c"],
        )
    )
    assert found.best_accuracy == pytest.approx(0.6)  # the 0.7 of b's mean on the test split
    assert found.best_gain == pytest.approx(0.1)
    assert found.error == pytest.approx(1 - 0.6)  # c failed and is left out
    assert found.error_baselines == pytest.approx(1 - (0.5 + 0.3) / 2)
    assert (found.n, found.networks) == (0, 1)  # a; b lost under one seed, and c failed


def test_a_stage_that_broke_off_has_no_best(run: Callable[..., Run]) -> None:
    found = confirmation(run({"a": (0.6, 0.7), "b": (0.6, 0.7, 0.8)}, best=["a", "b"]))
    assert (found.best_accuracy, found.error, found.best_gain) == (None, None, None)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_stage_that_broke_off_claims_nothing(run: Callable[..., Run], seeds: int) -> None:
    held = run(
        {"a": (0.6, 0.7, 0.8), "b": (0.9, 0.9, 0.9)},
        baselines={"x": (0.5, 0.6, 0.7)},
        sample=["a"],
        best=["b"],
    )
    assert (confirmation(held).n, len(leads(held)), len(confirmed_best(held))) == (1, 1, 1)
    begun = [each for each in held.retrainings if each.number < seeds]
    last = [each for each in held.retrainings if each.network_id != "x"]  # the baselines are last
    for spent in (begun, last):
        cut = replace(held, retrainings=tuple(spent))
        assert confirmation(cut) == Confirmation(n=0, improved=0)
        assert (leads(cut), confirmed_best(cut)) == ([], {})


def test_races_do_not_confirm(make_attempt: MakeAttempt) -> None:
    held = Run(
        attempts=(make_attempt(),),
        retrainings=tuple(again("c00-s000", PARENT, Purpose.RACE)),
        meta={"confirm": {"sample": ["c00-s000"], "best": ["c00-s000"], "baselines": []}},
    )
    found = confirmation(held)
    assert (found.n, found.best_accuracy) == (0, None)


def test_the_summary_counts_epochs_and_gives_an_interval(run: Callable[..., Run]) -> None:
    held = run({"a": (0.6, 0.6, 0.6), "b": (0.4, 0.6, 0.6)}, sample=["a", "b"])
    summary = run_summary(
        held, run_id="r", llm="l", dataset="digits", archive="builtin", protocol="quick",
        ablation=None, seed=1, wall_seconds=None, seconds={},
    )  # fmt: skip
    assert (summary.distinct_valid, summary.distinct_rate) == (2, 1.0)
    assert (summary.confirmed_n, summary.confirmed_improved) == (2, 1)
    assert summary.improved_networks == 1
    assert summary.confirmed_improved_rate == 0.5
    assert summary.confirmed_improved_low == pytest.approx(0.0945, abs=1e-4)  # Wilson, 1 of 2
    assert summary.confirmed_improved_high == pytest.approx(0.9055, abs=1e-4)
    assert (summary.race_epochs, summary.confirm_epochs) == (0, 9)


def test_what_was_not_confirmed_is_not_measured(run: Callable[..., Run]) -> None:
    summary = run_summary(
        run({}), run_id="r", llm="l", dataset="digits", archive="builtin", protocol="quick",
        ablation=None, seed=1, wall_seconds=None, seconds={},
    )  # fmt: skip
    assert summary.confirmed_n is None
    assert summary.confirmed_improved_rate is None
    assert summary.top10_error is None
