"""The best network of a run: by the strictest measure that there is, never by the test split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deltanas.records import Attempt, Finalist, Retraining, Run, Verdict
from deltanas.report.choosing import Best, NoNetworkError, attempt_of, best_of
from deltanas.report.diffs import lineage, parents_of
from deltanas.report.provenance import LineageError, provenance, recipe_of
from tests.run_fixtures import CHOSEN, used


@pytest.fixture
def run(
    attempts: list[Attempt],
    finalists: list[Finalist],
    retrainings: list[Retraining],
    baseline: Any,
) -> Run:
    child = replace(baseline, baseline_id="c00-s000", parent_id="plain-a")
    return Run(
        attempts=tuple(attempts),
        baselines=(used(baseline), used(child, origin="admitted")),
        finalists=tuple(finalists),
        retrainings=tuple(retrainings),
        meta={"confirm": CHOSEN, "config": {"seed": 42, "llm": {"name": "tiny"}}},
    )


def test_fresh_seeds_come_before_epochs_and_these_before_one_seed(run: Run) -> None:
    confirmed = best_of(run)
    assert confirmed.row.attempt_id == "c01-s000"
    assert "mean validation accuracy under 2 fresh seeds, of the 2 that" in confirmed.reason
    left = replace(run, retrainings=())
    assert "after 2 epochs, of the 1 finalists" in best_of(left).reason
    assert "noise" in best_of(replace(left, finalists=())).reason


def test_what_was_asked_for_is_taken(run: Run) -> None:
    assert best_of(run, Best.final).row.attempt_id == "c00-s000"
    assert best_of(run, Best.proxy).row.attempt_id == "c01-s000"


def test_test_accuracies_decide_nothing(run: Run, make_attempt: Callable[..., Attempt]) -> None:
    rows = [
        make_attempt(0, slot, proxy_accuracy=proxy, first_epoch_accuracy=test)
        for slot, (proxy, test) in enumerate([(0.6, 0.9), (0.7, 0.2)])
    ]
    finalists = [
        Finalist(
            attempt_id=row.attempt_id,
            dataset="digits",
            proxy_accuracy=0.5,
            final_accuracy=row.first_epoch_accuracy,
            curve=(0.1, row.proxy_accuracy or 0.0),
        )
        for row in rows
    ]
    again = [
        replace(
            each,
            network_id=row.attempt_id,
            validation_accuracy=row.proxy_accuracy,
            test_accuracy=row.first_epoch_accuracy,
        )
        for each in run.retrainings[:2]
        for row in rows
    ]
    again += run.retrainings[:2]  # of their parent
    meta = {"confirm": {"best": [row.attempt_id for row in rows]}}
    made = replace(
        run,
        attempts=tuple(rows),
        finalists=tuple(finalists),
        retrainings=tuple(again),
        meta=meta,
    )
    assert [best_of(made, kind).row.attempt_id for kind in Best] == ["c00-s001"] * 3


def test_who_failed_under_a_fresh_seed_is_not_confirmed(run: Run) -> None:
    again = [
        replace(each, verdict=Verdict.DIVERGED, validation_accuracy=None, test_accuracy=None)
        if each.network_id == "c01-s000" and each.number
        else each
        for each in run.retrainings
    ]
    assert best_of(replace(run, retrainings=tuple(again))).row.attempt_id == "c00-s000"


def test_degenerate_and_repeated_networks_are_never_the_best(
    run: Run, make_attempt: Callable[..., Attempt]
) -> None:
    rows = (
        make_attempt(0, 0, proxy_accuracy=0.2),
        make_attempt(0, 1, proxy_accuracy=0.9, degenerate=True),
        make_attempt(0, 2, proxy_accuracy=0.9, reused_from="plain-a"),
    )
    assert best_of(replace(run, attempts=rows, meta={})).row.attempt_id == "c00-s000"


@pytest.mark.parametrize(
    ("changes", "asked", "message"),
    [
        ({"attempts": ()}, {}, "holds no attempts yet"),
        ({"retrainings": ()}, {"kind": Best.confirmed}, "confirmed no network: confirm.best was"),
        ({"finalists": ()}, {"kind": Best.final}, "no finalist that trained: .* --best proxy"),
        ({}, {"dataset": "mnist"}, "no data set mnist in the run; name one .* --dataset digits"),
    ],
)
def test_what_there_is_not_is_said(
    run: Run, changes: dict[str, Any], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(NoNetworkError, match=message):
        best_of(replace(run, **changes), **asked)


def test_where_nothing_learned_the_verdicts_are_told(
    run: Run, make_attempt: Callable[..., Attempt]
) -> None:
    rows = tuple(make_attempt(0, slot, verdict=Verdict.SHAPE) for slot in range(3))
    with pytest.raises(NoNetworkError, match="learned anything on digits .* 3 shape.*--attempt"):
        best_of(replace(run, attempts=rows))


def test_of_several_data_sets_one_is_to_be_named(
    run: Run, make_attempt: Callable[..., Attempt]
) -> None:
    mixed = replace(run, attempts=(*run.attempts, make_attempt(2, 0, dataset="mnist")))
    with pytest.raises(NoNetworkError, match=r"has several; .*--dataset digits\|mnist"):
        best_of(mixed)
    assert best_of(mixed, dataset="mnist").row.attempt_id == "c02-s000"


def test_an_attempt_is_had_by_its_id_whatever_became_of_it(
    run: Run, make_attempt: Callable[..., Attempt]
) -> None:
    assert attempt_of(run, "c00-s001").row.verdict is Verdict.SHAPE
    with pytest.raises(NoNetworkError, match="no attempt c9; the run has c00-s000 to c01-s003"):
        attempt_of(run, "c9")
    lost = make_attempt(3, 0, code="", verdict=Verdict.NO_DELTA, reason="nothing was said")
    with pytest.raises(NoNetworkError, match="left no network: no_delta, nothing was said"):
        attempt_of(replace(run, attempts=(lost,)), "c03-s000")


def test_the_lineage_ends_in_the_archive(run: Run) -> None:
    row = attempt_of(run, "c01-s003").row
    assert lineage(row, parents_of(run)) == ["c01-s003", "c00-s000", "plain-a"]
    looped = replace(run.baselines[1].baseline, parent_id="c01-s003")
    circle = replace(run, baselines=(replace(run.baselines[1], baseline=looped),))
    assert lineage(row, parents_of(circle)) == ["c01-s003", "c00-s000"]
    with pytest.raises(LineageError, match="does not hold c00-s000, from which c01-s003"):
        recipe_of(replace(run, baselines=()), row)


def test_what_was_measured_is_told_with_its_seeds(run: Run) -> None:
    told = provenance(run, best_of(run), "tiny-digits")
    text = "\n".join(f"{name}: {value}" for name, value in told).replace("\u00a0", " ")
    for sentence in (
        "attempt: c01-s000 of run tiny-digits",
        "lineage: c01-s000 <- plain-a",
        "accuracy: proxy 75.0 % on the validation split, 87.5 % on the test split: one epoch,"
        " seed 42",
        "accuracy: confirmed 81.2 % on the validation split, 68.8 % on the test split: means of"
        " one epoch under the fresh seeds 1, 2",
        "gain: +12.5 pp over its parent: proxy",
        "gain: +37.5 pp over its parent: mean validation accuracy under 2 fresh seeds, above it"
        " under 2",
        "gain: +37.5 pp over plain-a, the best baseline: mean validation accuracy under the same",
    ):
        assert sentence in text
