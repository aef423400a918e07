"""What a comparison found: differences paired over seeds, or that nothing can be paired."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deltanas.records import FinishedRun
from deltanas.report.comparison.grouping import group_runs
from deltanas.report.comparison.groups import Group
from deltanas.report.comparison.paired import findings, paired_table, pairings
from deltanas.report.comparison.plots import short

MakeRun = Callable[..., FinishedRun]


def groups_of(make_run: MakeRun, ours: list[float], theirs: list[float]) -> list[Group]:
    control = {"llm": "random_edit", "ablation": "random_edit"}
    runs = [make_run(seed=n, confirmed_best_accuracy=one) for n, one in enumerate(ours)]
    runs += [
        make_run(seed=n, confirmed_best_accuracy=one, **control) for n, one in enumerate(theirs)
    ]
    return group_runs(runs)


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        ([0.90, 0.91, 0.92], "+1.0 pp (95 % interval −3.3 pp to +5.3 pp, 3 seeds)"),
        ([0.90], "+2.0 pp (1 seed)"),
    ],
)
def test_seeds_are_paired_before_they_are_compared(
    make_run: MakeRun, ours: list[float], told: str
) -> None:
    groups = groups_of(make_run, ours, [0.88, 0.89, 0.93])
    (sentence,) = findings(groups, pairings(groups))
    plain = sentence.replace("\u00a0", " ")
    assert plain.startswith("no ablation against random_edit: ")
    assert told in plain


def test_seeds_that_only_one_side_has_are_left_out(make_run: MakeRun) -> None:
    groups = groups_of(make_run, [0.9, 0.8], [0.8])
    (pairing,) = pairings(groups)
    assert pairing.seeds == 1
    (table,) = paired_table([pairing])
    assert table.rows[0].cells[3].text == "+10.0"


def test_one_group_is_held_against_its_baselines(make_run: MakeRun) -> None:
    groups = group_runs([make_run(seed=n, confirmed_best_gain=n / 100) for n in (1, 2)])
    (sentence,) = findings(groups, pairings(groups))
    assert "stands at +1.5\u00a0pp (95 % interval" in sentence
    groups = group_runs([make_run(confirmed_best_gain=None)])
    assert "nothing to hold it against" in findings(groups, [])[0]


def test_labels_beside_bars_differ() -> None:
    names = ["a" * 60 + end for end in "xy"]
    assert len(set(short(names))) == 2
    assert short(["none"]) == ["none"]
