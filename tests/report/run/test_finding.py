"""What a run found: the sentence says what was confirmed, and what was not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from deltanas.records import Attempt, Baseline, Origin, Retraining, Run, Summary, Verdict
from deltanas.report.metrics import run_summary
from deltanas.report.run.best_so_far import best_so_far
from deltanas.report.run.finding import Finding, finding
from tests.run_fixtures import CHOSEN, used

MakeAttempt = Callable[..., Attempt]


def summed(run: Run) -> Summary:
    return run_summary(
        run, run_id="r", llm="tiny", dataset="digits", archive="builtin", protocol="quick",
        ablation=None, seed=1, wall_seconds=60.0, seconds={},
    )  # fmt: skip


def found(run: Run) -> Finding:
    return finding(run, summed(run))


@pytest.fixture
def run(attempts: list[Attempt], retrainings: list[Retraining], baseline: Baseline) -> Run:
    joined = replace(baseline, baseline_id="c00-s000", parent_id="plain-a", proxy_accuracy=0.5)
    return Run(
        attempts=tuple(attempts),
        baselines=(used(baseline), used(joined, origin=Origin.ADMITTED)),
        retrainings=tuple(retrainings),
        meta={"confirm": CHOSEN},
    )


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def test_the_best_confirmed_network_leads_with_its_paired_interval(run: Run) -> None:
    # test accuracies: .625 and .75 against .25 and .375, so both seeds agree on 37.5 points
    told = found(run)
    assert told.network == "c01-s000"
    assert plain(told.sentence) == (
        "reaches 68.8 % on the test split of digits under 2 fresh seeds:"
        " +37.5 pp (no interval: all seeds agree) against the best baseline, plain-a."
    )
    assert "1 of 2 new networks drawn beat their parent" in told.details[0]
    assert "It took 8 attempts (5 valid, 4 new), 13 epochs of training" in plain(told.details[1])


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [((0.1, 0.11), "lies above zero"), ((0.1, -0.1), "holds zero"), ((-0.1, -0.11), "below zero")],
)
def test_an_interval_says_whether_the_best_baseline_was_beaten(
    run: Run, gains: tuple[float, float], verdict: str
) -> None:
    again = [
        replace(each, test_accuracy=0.5 + gains[each.number] * (each.network_id != "plain-a"))
        for each in run.retrainings
    ]
    assert verdict in found(replace(run, retrainings=tuple(again))).verdict


def test_without_confirmation_the_sentence_says_that_it_is_one_seed(run: Run) -> None:
    told = found(replace(run, retrainings=(), meta={}))
    assert told.network == "c01-s000"
    assert plain(told.sentence) == (
        "leads on the one seed that it was trained with: 75.0 % on the validation split of"
        " digits after one epoch, +37.5 pp against the best baseline, plain-a."
    )
    assert "No network was confirmed (confirm.best asked for none)" in told.verdict
    begun = found(replace(run, retrainings=(), meta={"config": {"confirm": {"best": 2}}}))
    assert "(the run ended before that stage was over)" in begun.verdict
    assert "3 of 4 new networks were better than their parent" in told.details[0]


def test_several_data_sets_are_told_apart(run: Run) -> None:
    rows = [replace(row, dataset="svhn", attempt_id=f"x{row.attempt_id}") for row in run.attempts]
    again = [
        replace(
            each,
            dataset="svhn",
            network_id=each.network_id if each.network_id == "plain-a" else f"x{each.network_id}",
            test_accuracy=each.test_accuracy and each.test_accuracy / 2,
        )
        for each in run.retrainings
    ]
    chosen = {
        "best": [*CHOSEN["best"], *(f"x{name}" for name in CHOSEN["best"])],
        "baselines": [*CHOSEN["baselines"], ["svhn", "plain-a"]],
    }
    both = replace(
        run,
        attempts=(*run.attempts, *rows),
        retrainings=(*run.retrainings, *again),
        meta={"confirm": chosen},
    )
    told = found(both)
    assert told.network is None
    assert told.sentence.startswith("On 2 data sets the best confirmed networks stand at +28.1")
    assert [lead.dataset for lead, _ in told.by_dataset] == ["digits", "svhn"]
    picture = best_so_far(both)
    assert picture is not None
    assert picture.unit.startswith("points over the best baseline")


def test_invalid_runs_say_how_attempts_ended(make_attempt: MakeAttempt) -> None:
    ends = [Verdict.SHAPE, Verdict.SHAPE, Verdict.BUILD]
    rows = [make_attempt(0, slot, verdict=verdict) for slot, verdict in enumerate(ends)]
    told = found(Run(attempts=tuple(rows)))
    assert told.sentence.startswith(
        "None of the 3 attempts gave a network that trains: 2 ended as shape."
    )
    assert best_so_far(Run(attempts=tuple(rows))) is None
    dull = make_attempt(0, 0, degenerate=True)
    assert "better than always answering" in found(Run(attempts=(dull,))).sentence
    assert "before its first attempt" in found(Run()).sentence


def test_the_picture_holds_every_network_and_what_fresh_seeds_say(run: Run) -> None:
    picture = best_so_far(run)
    assert picture is not None
    assert picture.points == {"": [(1, 50.0), (5, 75.0), (6, 50.0), (8, 62.5)]}
    assert (picture.reference, picture.fresh_reference) == (37.5, 43.75)
    assert (5, 81.25, 75.0, 87.5) in picture.fresh
