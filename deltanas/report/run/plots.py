"""The report's plots. Each returns an `<svg>` element, or None where nothing was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deltanas.records import CycleSummary
from deltanas.report.metrics import wilson_interval
from deltanas.report.svg import INK, A, B, C, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def valid_rate_plot(cycles: Sequence[CycleSummary]) -> str | None:
    """Draw valid and useful rate by cycle; the band is the 95 % Wilson interval."""
    counted = [cycle for cycle in cycles if cycle.attempted]
    if not counted:
        return None
    x = [cycle.cycle for cycle in counted]
    bounds = [wilson_interval(cycle.valid, cycle.attempted) for cycle in counted]
    with drawing("valid-rate", "Valid rate and useful rate by cycle") as picture:
        axes = picture.axes
        low, high = zip(*bounds, strict=True)
        axes.fill_between(x, _percent(low), _percent(high), color=A, alpha=0.14, linewidth=0)
        axes.plot(x, _percent([c.valid / c.attempted for c in counted]), **_line(A, "valid"))
        axes.plot(x, _percent([c.useful / c.attempted for c in counted]), **_line(B, "useful"))
        axes.set_ylim(0, 103)
        _by_cycle(axes, x, "% of attempts")
    return picture.svg


def accuracy_plot(cycles: Sequence[CycleSummary]) -> str | None:
    """Draw mean and best first-epoch accuracy (test split) of valid candidates by cycle."""
    measured = [
        (cycle.cycle, cycle.mean_first_epoch_accuracy, cycle.best_first_epoch_accuracy)
        for cycle in cycles
        if cycle.mean_first_epoch_accuracy is not None
        and cycle.best_first_epoch_accuracy is not None
    ]
    if not measured:
        return None
    x, means, bests = zip(*measured, strict=True)
    with drawing("accuracy", "First-epoch accuracy by cycle") as picture:
        axes = picture.axes
        axes.plot(x, _percent(bests), **_line(B, "best"))
        axes.plot(x, _percent(means), **_line(A, "mean"))
        _by_cycle(axes, x, "accuracy, %")
    return picture.svg


def tune_loss_plot(cycles: Sequence[CycleSummary]) -> str | None:
    """Draw by cycle what LoRA changed of the held-out loss: below zero it learned."""
    tuned = [
        (cycle.cycle, cycle.tune_loss_after - cycle.tune_loss_before, cycle.adapter_kept)
        for cycle in cycles
        if cycle.tune_loss_before is not None and cycle.tune_loss_after is not None
    ]
    if not tuned:
        return None
    x, changes, kept = zip(*tuned, strict=True)
    with drawing("tune-loss", "Change of the held-out loss by LoRA, by cycle") as picture:
        axes = picture.axes
        axes.bar(x, changes, width=0.7, color=[C if one is False else A for one in kept])
        axes.axhline(0, color=INK, linewidth=1)
        _by_cycle(axes, x, "nats per answer token")
    return picture.svg


def lengths_plot(lengths: Sequence[int], mean_full_lines: float | None) -> str | None:
    """Draw how long the deltas are, in lines, against the mean length of whole networks."""
    if not lengths:
        return None
    with drawing("lengths", "Histogram of delta lengths in lines") as picture:
        axes = picture.axes
        width = math.ceil((max(lengths) - min(lengths) + 1) / _bins(lengths))
        edges = range(min(lengths), max(lengths) + width + 1, width)  # whole lines in every bin
        axes.hist(lengths, bins=list(edges), color=A, alpha=0.85, rwidth=0.92)
        if mean_full_lines is not None:
            axes.axvline(mean_full_lines, color=C, linewidth=1.4, linestyle=(0, (4, 3)))
            axes.annotate(
                "mean whole network",
                (mean_full_lines, 0.97),
                xycoords=("data", "axes fraction"),
                xytext=(-5, 0),
                textcoords="offset points",
                ha="right",
                va="top",
                color=INK,
            )
        _counted(axes, "delta length, lines")
    return picture.svg


def gains_plot(gains: Sequence[float]) -> str | None:
    """Draw the distribution of gains over the parent, in percentage points."""
    if not gains:
        return None
    values = _percent(gains)
    with drawing("gains", "Histogram of gains over the parent") as picture:
        axes = picture.axes
        axes.hist(values, bins=_bins(values), color=B, alpha=0.85, rwidth=0.92)
        axes.axvline(0, color=INK, linewidth=1)
        _counted(axes, "gain over the parent, percentage points")
    return picture.svg


def _percent(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]


def _line(colour: str, label: str) -> dict[str, Any]:
    return {"color": colour, "label": label, "linewidth": 2, "marker": "o", "markersize": 5}


def _by_cycle(axes: Axes, cycles: Sequence[int], unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12, min_n_ticks=1))
    axes.set_xlim(min(cycles) - 0.6, max(cycles) + 0.6)
    axes.set_xlabel("cycle")
    axes.set_ylabel(unit)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0
        )


def _counted(axes: Axes, unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_xlabel(unit)
    axes.set_ylabel("candidates")


def _bins(values: Sequence[float]) -> int:
    return min(24, max(6, 2 * math.isqrt(len(values))))
