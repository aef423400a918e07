"""The curves of a comparison: what groups come to by cycle, and by attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from deltanas.records import CycleSummary
from deltanas.report.comparison.grouping import CONTROL, labels
from deltanas.report.comparison.groups import Group
from deltanas.report.metrics import ratio
from deltanas.report.svg import A, B, C, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = 9  # lines of one plot: three colours, three strokes
_STROKES = ("solid", (0, (4, 2)), (0, (1, 1.5)))

Measure = Callable[[CycleSummary], float | None]


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
    return _by_cycle(groups, lambda c: ratio(c.valid, c.attempted), name, "valid, % of attempts")


def accuracy_curves(groups: Sequence[Group], name: str) -> str | None:
    """Draw the mean first-epoch accuracy by cycle: the mean over seeds, and their range."""
    return _by_cycle(groups, lambda c: c.mean_first_epoch_accuracy, name, "mean accuracy, %")


def best_curves(groups: Sequence[Group], name: str) -> str | None:
    """Draw the best proxy accuracy so far against attempts: the mean over seeds, and the range."""
    lines = [_collected(enumerate(run.best_so_far, 1) for run in g.runs) for g in groups[:CURVES]]
    return _drawn(groups, lines, name, "attempt", "best so far (validation), %", marker="")


def _by_cycle(groups: Sequence[Group], measure: Measure, name: str, unit: str) -> str | None:
    lines = [
        _collected(((cycle.cycle, measure(cycle)) for cycle in run.cycles) for run in group.runs)
        for group in groups[:CURVES]
    ]
    return _drawn(groups, lines, name, "cycle", unit, marker="o", whole=True)


def _collected(runs: Iterable[Iterable[tuple[int, float | None]]]) -> dict[int, list[float]]:
    """Return the measured percentages of all seeds by place, in order."""
    found: dict[int, list[float]] = {}
    for run in runs:
        for place, value in run:
            if value is not None:
                found.setdefault(place, []).append(100 * value)
    return dict(sorted(found.items()))


def _drawn(
    groups: Sequence[Group],
    lines: Sequence[Mapping[int, Sequence[float]]],
    name: str,
    across: str,
    unit: str,
    *,
    marker: str,
    whole: bool = False,
) -> str | None:
    """Draw one line a group with a band for its seeds; `whole` shows percentages from 0 to 100."""
    shown = groups[:CURVES]
    if not any(lines):
        return None
    rows = -(-len(shown) // 3)
    with drawing(name, f"{unit} by {across}", 3.0 + 0.2 * rows) as picture:
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
                marker=marker,
                ms=4,
            )
        _frame(axes, across, unit, whole)
    return picture.svg


def _frame(axes: Axes, across: str, unit: str, whole: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12, min_n_ticks=1))
    if whole:
        axes.set_ylim(0, 103)
    axes.set_xlabel(across)
    axes.set_ylabel(unit)
    legend(axes)


def legend(axes: Axes) -> None:
    """Put every label once above the axes, from the left edge of the drawing."""
    handles, names = axes.get_legend_handles_labels()
    once = dict(zip(reversed(names), reversed(handles), strict=True))
    ordered = list(dict.fromkeys(names))
    axes.get_figure(root=True).legend(  # type: ignore[union-attr]
        [once[name] for name in ordered], ordered, loc="outside upper left", frameon=False, ncols=2
    )
