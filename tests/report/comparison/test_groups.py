"""Groups over seeds: what is pooled, what is averaged, and what is kept apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deltanas.records import FinishedRun
from deltanas.report.comparison.cross_table import cross_tables
from deltanas.report.comparison.grouping import (
    common,
    group_runs,
    labels,
    reductions,
    whole_networks,
)
from deltanas.report.comparison.groups import Group
from deltanas.report.comparison.tables import tables
from deltanas.report.metrics import wilson_interval
from deltanas.report.spreads import spread

MakeRun = Callable[..., FinishedRun]


def test_student_interval_is_that_of_a_table() -> None:
    # t(0.975, 2) = 4.3027; the deviation of 1, 2, 3 is 1
    found = spread([1.0, None, 2.0, 3.0])
    assert found is not None
    assert (found.mean, found.smallest, found.largest, found.n) == (2.0, 1.0, 3.0, 3)
    assert found.high == pytest.approx(2 + 4.3027 / 3**0.5, abs=1e-4)


def test_repairs_are_in_no_pooled_rate(make_run: MakeRun) -> None:
    figures = {"attempted": 12, "repairs": 4, "valid": 4, "useful_rate": 0.25}
    runs = [make_run(seed, infrastructure_failures=1, **figures) for seed in (1, 2)]
    (group,) = group_runs(runs)
    assert (group.attempted, group.first_attempts, group.valid) == (24, 16, 8)
    assert (group.valid_rate, group.useful_rate) == (0.5, 0.25)
    assert group.valid_interval == wilson_interval(8, 16)
    assert group.valid_rate_excl_infra == 8 / 14


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5]])
def test_seeds_that_do_not_differ_have_no_interval(values: list[float]) -> None:
    found = spread(values)
    assert found is not None
    assert (found.low, found.high) == (None, None)


def test_nothing_measured_has_no_mean() -> None:
    assert spread([None, None]) is None


def test_rates_pool_attempts_and_other_figures_weigh_seeds_equally(make_run: MakeRun) -> None:
    (group,) = group_runs(
        [
            make_run(1, attempted=10, valid=2, valid_rate=0.2, mean_first_epoch_accuracy=0.4),
            make_run(2, attempted=30, valid=24, valid_rate=0.8, mean_first_epoch_accuracy=0.6),
        ]
    )
    assert (group.valid, group.attempted, group.valid_rate) == (26, 40, 0.65)
    assert group.valid_interval == wilson_interval(26, 40)
    assert group.mean("valid_rate") == 0.5
    assert group.mean("mean_first_epoch_accuracy") == 0.5
    assert group.valid_rate_excl_infra == 26 / 38  # one infrastructure failure a run


def test_a_figure_that_no_seed_measured_stays_unmeasured(make_run: MakeRun) -> None:
    (group,) = group_runs([make_run(1, useful_rate=None, mean_gain=None, valid=0)])
    assert group.useful_rate is None
    assert group.mean("mean_gain") is None
    assert group.seconds_per_valid is None


@pytest.mark.parametrize("name", ["llm", "dataset", "archive", "protocol", "ablation"])
def test_each_of_the_five_names_keeps_runs_apart(name: str, make_run: MakeRun) -> None:
    groups = group_runs([make_run(1), make_run(2), make_run(1, **{name: "other"})])
    assert sorted(len(group.runs) for group in groups) == [1, 2]


def test_another_value_of_a_setting_is_another_variant(make_run: MakeRun) -> None:
    cold, warm = {"llm.temperature": "0.2", "seed": "1"}, {"llm.temperature": "0.8", "seed": "1"}
    groups = group_runs([make_run(1, cold), make_run(1, warm), make_run(2, cold | {"seed": "2"})])
    assert labels([group.key for group in groups]) == [
        "temperature=0.2",
        "temperature=0.8",
    ]
    assert [len(group.runs) for group in groups] == [2, 1]


def test_where_a_run_took_place_is_no_variant(make_run: MakeRun) -> None:
    here, there = {"executor.workers": "1", "tracker.name": "none"}, {"executor.workers": "8"}
    (group,) = group_runs([make_run(1, here), make_run(2, there)])
    assert len(group.runs) == 2


@pytest.mark.parametrize(
    ("key", "kind", "groups"),
    [
        ("dataset.root", {"dataset.class_folders": "True"}, 2),
        ("dataset.root", {"dataset.class_folders": "False"}, 1),
        ("dataset.members.pets.root", {"dataset.members.pets.class_folders": "True"}, 2),
        ("archive.path", {"archive.name": "folder"}, 2),
        ("archive.path", {"archive.name": "lemur"}, 1),
    ],
)
def test_other_images_or_networks_of_ones_own_are_not_pooled(
    key: str, kind: dict[str, str], groups: int, make_run: MakeRun
) -> None:
    runs = [make_run(seed, {**kind, key: f"/{seed}"}) for seed in (1, 2)]
    assert len(group_runs(runs)) == groups


def test_a_control_without_an_llm_is_one_group_whatever_the_llm(make_run: MakeRun) -> None:
    names = {"llm": "random_edit", "ablation": "random_edit"}
    (group,) = group_runs(
        [make_run(1, {"llm.name": "qwen"}, **names), make_run(2, {"llm.name": "tiny"}, **names)]
    )
    assert len(group.runs) == 2


def test_a_repeated_seed_counts_once_with_the_larger_run(make_run: MakeRun) -> None:
    (group,) = group_runs([make_run(1), make_run(1, attempted=20, valid=9)])
    assert (group.valid, group.attempted) == (9, 20)
    assert len(group.repeats) == 1


def test_names_say_only_what_tells_groups_apart(make_run: MakeRun) -> None:
    groups = group_runs(
        [
            make_run(ablation="no_lora"),
            make_run(llm="random_edit", ablation="random_edit"),
            make_run(ablation=None),
        ]
    )
    keys = [group.key for group in groups]
    assert labels(keys) == ["no ablation", "no_lora", "random_edit"]
    assert common(keys)["llm"] == "tiny"
    assert "ablation" not in common(keys)


def test_groups_of_several_llms_are_named_by_them(make_run: MakeRun) -> None:
    groups = group_runs([make_run(), make_run(llm="qwen"), make_run(llm="qwen", ablation="free")])
    assert labels([group.key for group in groups]) == ["qwen · none", "qwen · free", "tiny · none"]


def full_and_delta(make_run: MakeRun) -> list[Group]:
    full = {"ablation": "full_generation", "mean_delta_lines": None, "mean_full_lines": 100.0}
    return group_runs(
        [
            make_run(1, mean_delta_lines=25.0, output_tokens=800, attempted=8),
            make_run(1, **full, output_tokens=4000, attempted=8),
            make_run(1, **full, dataset="mnist", output_tokens=9000),
        ]
    )


def test_the_reduction_is_taken_against_full_generation_of_the_same_dataset(
    make_run: MakeRun,
) -> None:
    groups = full_and_delta(make_run)
    control = whole_networks(groups[0], groups)
    assert control is groups[1]
    assert reductions(groups[0], control) == (0.75, 0.8)
    assert whole_networks(groups[1], groups) is None


def test_without_full_generation_there_is_no_such_reduction(make_run: MakeRun) -> None:
    groups = group_runs([make_run()])
    assert reductions(groups[0], whole_networks(groups[0], groups)) == (None, None)


def test_one_seed_shows_no_figure_over_seeds(make_run: MakeRun) -> None:
    validity = tables(group_runs([make_run()]))[1]
    shown = {
        head.title: cell.text
        for head, cell in zip(validity.heads, validity.rows[0].cells, strict=True)
    }
    assert shown["seeds"] == "1"
    assert shown["rate, %"] == "62.5"
    assert shown["over seeds, %"] == "–"
    assert shown["t interval, %"] == "–"


def test_llm_by_dataset_needs_several_of_either(make_run: MakeRun) -> None:
    control = make_run(llm="random_edit", ablation="random_edit")
    assert cross_tables(group_runs([make_run(), control])) == []


def test_llm_by_dataset_pools_only_complete_rows(make_run: MakeRun) -> None:
    runs = [make_run(), make_run(dataset="mnist", valid=3), make_run(llm="qwen")]
    (table,) = cross_tables(group_runs(runs))
    assert [head.title for head in table.heads[1:]] == ["digits", "mnist", "all, valid"]
    cells = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}
    assert cells["tiny"][1].startswith("37.5 / ")
    assert cells["tiny"][2] == "50.0"
    assert cells["qwen"][1:] == ["–", "–"]


def test_confirmed_improvements_are_pooled_over_seeds(make_run: MakeRun) -> None:
    runs = [
        make_run(seed=seed, confirmed_n=10, confirmed_improved=improved, top10_error=0.05 * seed)
        for seed, improved in ((1, 3), (2, 5))
    ]
    found = tables(group_runs(runs))[0]
    shown = {head.title: cell for head, cell in zip(found.heads, found.rows[0].cells, strict=True)}
    assert found.title == "What was found"
    assert (shown["improved, %"].text, shown["improved, %"].note) == ("40.0", "21.9–61.3")
    assert (shown["error, %"].text, shown["error, %"].note) == ("7.5", "5.0–10.0")
    (none,) = tables(group_runs([make_run(confirmed_n=None)]))[0].rows
    assert none.cells[2].text == "–"
