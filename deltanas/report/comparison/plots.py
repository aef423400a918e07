"""The plots of a comparison. Each returns an `<svg>` element, or None without anything to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean
from textwrap import wrap
from typing import TYPE_CHECKING

from deltanas.records import CycleSummary
from deltanas.report.comparison.grouping import CONTROL, labels
from deltanas.report.comparison.groups import Group
from deltanas.report.comparison.paired import Pairing
from deltanas.report.comparison.paper import paper_row
from deltanas.report.metrics import ratio
from deltanas.report.svg import INK, A, B, C, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = 9  # lines of one plot: three colours, three strokes
_STROKES = ("solid", (0, (4, 2)), (0, (1, 1.5)))
_LABEL = 40  # characters of a group's name beside its bar

Measure = Callable[[CycleSummary], float | None]


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


def panels(groups: Sequence[Group]) -> list[list[Group]]:
    """Return which groups share a plot of curves: one LLM at one place, controls beside it."""
    places: dict[object, list[Group]] = {}
    for group in groups:
        places.setdefault(replace(group.key, ablation="", variant=""), []).append(group)
    found = []
    for members in places.values():
        key = members[0].key
        where = (key.dataset, key.archive, key.protocol)
        controls = [
            group
            for group in groups
            if group.key.llm == CONTROL
            and (group.key.dataset, group.key.archive, group.key.protocol) == where
        ]
        alone = all(group.key.llm == CONTROL for group in groups if _at(group, where))
        if key.llm != CONTROL:
            found.append([*members, *controls])
        elif alone:
            found.append(members)
    return found


def _at(group: Group, where: tuple[str, str, str]) -> bool:
    return (group.key.dataset, group.key.archive, group.key.protocol) == where


def valid_curves(groups: Sequence[Group], name: str) -> str | None:
    """Draw the valid rate by cycle: the mean over seeds, and a band for their range."""
    return _curves(groups, lambda c: ratio(c.valid, c.attempted), name, "valid, % of attempts")


def accuracy_curves(groups: Sequence[Group], name: str) -> str | None:
    """Draw the mean first-epoch accuracy by cycle: the mean over seeds, and their range."""
    return _curves(groups, lambda c: c.mean_first_epoch_accuracy, name, "mean accuracy, %")


def _curves(groups: Sequence[Group], measure: Measure, name: str, unit: str) -> str | None:
    shown = groups[:CURVES]
    lines = [_by_cycle(group, measure) for group in shown]
    if not any(lines):
        return None
    rows = -(-len(shown) // 3)
    with drawing(name, f"{unit} by cycle", 3.0 + 0.2 * rows) as picture:
        axes = picture.axes
        for i, (label, line) in enumerate(zip(labels([g.key for g in shown]), lines, strict=True)):
            if not line:
                continue
            colour, stroke = (A, B, C)[i % 3], _STROKES[i // 3]
            x, bands = list(line), list(line.values())
            if any(len(values) > 1 for values in bands):
                low, high = [min(values) for values in bands], [max(values) for values in bands]
                axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
            means = [fmean(values) for values in bands]
            axes.plot(
                x,
                means,
                color=colour,
                linestyle=stroke,
                label=label,
                linewidth=2,
                marker="o",
                ms=4,
            )
        _frame_cycles(axes, unit)
    return picture.svg


def _by_cycle(group: Group, measure: Measure) -> dict[int, list[float]]:
    """Return the measured percentages of all seeds by cycle, in order."""
    found: dict[int, list[float]] = {}
    for run in group.runs:
        for cycle in run.cycles:
            value = measure(cycle)
            if value is not None:
                found.setdefault(cycle.cycle, []).append(100 * value)
    return dict(sorted(found.items()))


def _frame_cycles(axes: Axes, unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    axes.set_ylim(0, 103)
    axes.set_xlabel("cycle")
    axes.set_ylabel(unit)
    _legend(axes)


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
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Put every label once above the axes, from the left edge of the drawing."""
    handles, names = axes.get_legend_handles_labels()
    once = dict(zip(reversed(names), reversed(handles), strict=True))
    ordered = list(dict.fromkeys(names))
    axes.get_figure(root=True).legend(  # type: ignore[union-attr]
        [once[name] for name in ordered], ordered, loc="outside upper left", frameon=False, ncols=2
    )
