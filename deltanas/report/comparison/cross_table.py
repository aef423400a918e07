"""LLM by dataset: one row for every LLM and ablation, one column for every dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deltanas.report.comparison.cells import (
    BLANK,
    Cell,
    Head,
    Table,
    TableRow,
    between,
    figure,
    rate,
)
from deltanas.report.comparison.grouping import CONTROL, labels, order
from deltanas.report.comparison.groups import Group
from deltanas.report.metrics import ratio


def cross_tables(groups: Sequence[Group]) -> list[Table]:
    """Return one table for each archive and protocol; none for one LLM and one dataset."""
    llms = {group.key.llm for group in groups} - {CONTROL}
    if len(llms) < 2 and len({group.key.dataset for group in groups}) < 2:
        return []
    places = dict.fromkeys((group.key.archive, group.key.protocol) for group in groups)
    return [
        _cross_table([g for g in groups if (g.key.archive, g.key.protocol) == place])
        for place in places
    ]


def _cross_table(groups: Sequence[Group]) -> Table:
    datasets = sorted({group.key.dataset for group in groups})
    places = {(replace(group.key, dataset=""), group.key.dataset): group for group in groups}
    keys = sorted({key for key, _ in places}, key=order)
    rows = []
    for name, key in zip(labels(keys), keys, strict=True):
        found = [places.get((key, dataset)) for dataset in datasets]
        rows.append(TableRow(cells=(Cell(name), *map(_cell, found), *_all_datasets(found))))
    heads = [*datasets, *(["all, valid"] if len(datasets) > 1 else [])]
    key = groups[0].key
    return Table(
        title=f"LLM by dataset: archive {key.archive}, protocol {key.protocol}",
        caption="Valid rate, pooled over seeds / mean first-epoch accuracy, mean over seeds; in %."
        " all: attempts of all datasets pooled, where an LLM has every one of them.",
        heads=(
            Head(title="LLM and ablation", left=True),
            *(Head(title=head) for head in heads),
        ),
        rows=tuple(rows),
        notes_on_terminal=False,
    )


def _cell(group: Group | None) -> Cell:
    if group is None:
        return Cell(BLANK)
    n = len(group.runs)
    valid = figure(group.valid_rate, rate).text
    accuracy = figure(group.mean("mean_first_epoch_accuracy"), rate).text
    note = f"{between(*group.valid_interval)}, {n} seed{'s'[: n > 1]}"
    return Cell(f"{valid} / {accuracy}", note)


def _all_datasets(found: Sequence[Group | None]) -> list[Cell]:
    """Return the pooled valid rate in a list, which is empty for a single dataset."""
    groups = [group for group in found if group is not None]
    if len(found) < 2:
        return []
    if len(groups) < len(found):
        return [Cell(BLANK)]
    valid, asked = sum(g.valid for g in groups), sum(g.first_attempts for g in groups)
    return [figure(ratio(valid, asked), rate, f"{valid}/{asked}")]
