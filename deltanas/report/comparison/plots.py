"""The plots of a comparison. Each returns an `<svg>` element, or None without anything to show."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from deltanas.report.comparison.curves import legend
from deltanas.report.comparison.grouping import labels
from deltanas.report.comparison.groups import Group
from deltanas.report.comparison.paired import Pairing
from deltanas.report.comparison.paper import paper_row
from deltanas.report.svg import INK, A, B, C, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABEL = 40  # characters of a group's name beside its bar


def valid_rates_plot(groups: Sequence[Group]) -> str | None:
    """Draw every group's pooled valid rate with its Wilson interval, its seeds, and the paper."""
    if not any(group.attempted for group in groups):
        return None
    with drawing("valid-rates", "Valid rate of every group", _height(groups)) as picture:
        axes = picture.axes
        for y, group in enumerate(groups):
            low, high = group.valid_interval
            if low is not None and high is not None:
                axes.hlines(y, 100 * low, 100 * high, color=A, linewidth=2.2)
            _seeds(axes, group, "valid_rate", y)
            _mark(axes, group.valid_rate, y, A, "o", "pooled, 95 % interval")
            paper = paper_row(group.key)
            _mark(axes, paper.valid_rate if paper else None, y, B, "D", "paper")
        _by_group(axes, groups, "valid, % of attempts")
        axes.set_xlim(-2, 102)
    return picture.svg


def accuracies_plot(groups: Sequence[Group]) -> str | None:
    """Draw every group's mean first-epoch accuracy, over seeds, with its seeds and its best."""
    if all(group.best_accuracy is None for group in groups):
        return None
    with drawing("accuracies", "First-epoch accuracy of every group", _height(groups)) as picture:
        axes = picture.axes
        for y, group in enumerate(groups):
            spread = group.spread("mean_first_epoch_accuracy")
            if spread is not None:
                ends = 100 * spread.smallest, 100 * spread.largest
                axes.hlines(y, *ends, color=A, linewidth=2.2)
            _seeds(axes, group, "mean_first_epoch_accuracy", y)
            _mark(axes, spread.mean if spread else None, y, A, "o", "mean, range of seeds")
            _mark(axes, group.best_accuracy, y, C, "^", "best of all seeds")
        _by_group(axes, groups, "first-epoch accuracy, %")
    return picture.svg


def differences_plot(paired: Sequence[Pairing], key: str) -> str | None:
    """Draw one figure of every group less its reference, with Student's interval."""
    rows = [(pairing, pairing.differences[key]) for pairing in paired]
    measured = [(pairing, found) for pairing, found in rows if found is not None]
    if not measured:
        return None
    height = 1.0 + 0.42 * len(measured)
    with drawing("differences", "Paired differences with intervals", height) as picture:
        axes = picture.axes
        for y, (_, found) in enumerate(measured):
            if found.low is not None and found.high is not None:
                axes.hlines(y, 100 * found.low, 100 * found.high, color=A, linewidth=2.2)
            axes.scatter([100 * found.mean], [y], s=36, color=A, zorder=3)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(measured)), short([pairing.name for pairing, _ in measured]))
        axes.set_ylim(len(measured) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.set_xlabel("percentage points against the reference")
    return picture.svg


def short(names: Sequence[str]) -> list[str]:
    """Return names in two lines beside a bar; where that made two alike, they keep their ends."""
    cut = [_cut(name, name[: _LABEL - 1] + "…") for name in names]
    half = _LABEL // 2
    return [
        _cut(name, f"{name[: half - 1]}…{name[-half:]}") if cut.count(one) > 1 else one
        for name, one in zip(names, cut, strict=True)
    ]


def _cut(name: str, shorter: str) -> str:
    return "\n".join(wrap(name if len(name) <= _LABEL else shorter, _LABEL // 2))


def _height(groups: Sequence[Group]) -> float:
    return 1.2 + 0.42 * len(groups)  # inches


def _seeds(axes: Axes, group: Group, figure: str, y: int) -> None:
    values = [run.summary.flat()[figure] for run in group.runs]
    measured = [100 * value for value in values if value is not None]
    if len(measured) > 1:
        axes.scatter(
            measured, [y] * len(measured), s=16, color=INK, alpha=0.5, linewidth=0, label="a seed"
        )


def _mark(axes: Axes, value: float | None, y: int, colour: str, marker: str, label: str) -> None:
    if value is not None:
        axes.scatter([100 * value], [y], s=36, color=colour, marker=marker, label=label, zorder=3)


def _by_group(axes: Axes, groups: Sequence[Group], unit: str) -> None:
    axes.set_yticks(range(len(groups)), short(labels([group.key for group in groups])))
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.set_xlabel(unit)
    legend(axes)
