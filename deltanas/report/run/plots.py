"""The report's plots. Each returns an `<svg>` element, or None where nothing was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deltanas.records import CycleSummary, Finalist
from deltanas.report.metrics import wilson_interval
from deltanas.report.ranking import Correlation, Fidelity
from deltanas.report.svg import INK, LINE, A, B, C, drawing

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
    """Draw the held-out loss before and after LoRA by cycle."""
    tuned = [
        (cycle.cycle, cycle.tune_loss_before, cycle.tune_loss_after)
        for cycle in cycles
        if cycle.tune_loss_before is not None and cycle.tune_loss_after is not None
    ]
    if not tuned:
        return None
    x, before, after = zip(*tuned, strict=True)
    with drawing("tune-loss", "Held-out loss before and after LoRA by cycle") as picture:
        axes = picture.axes
        axes.vlines(x, before, after, color=LINE, linewidth=1.2)
        axes.plot(x, before, **_line(C, "before"))
        axes.plot(x, after, **_line(A, "after"))
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


def fidelity_plot(finalists: Sequence[Finalist], study: Correlation) -> str | None:
    """Draw final accuracy (test split) against proxy accuracy, one colour per dataset."""
    pairs = [
        (finalist.dataset, 100 * finalist.proxy_accuracy, 100 * finalist.final_accuracy)
        for finalist in finalists
        if finalist.final_accuracy is not None
    ]
    if not pairs:
        return None
    markers = "osD^vP"
    with drawing("fidelity", "Final accuracy against proxy accuracy") as picture:
        axes = picture.axes
        datasets = sorted({dataset for dataset, _, _ in pairs})
        for index, dataset in enumerate(datasets):
            axes.scatter(
                [x for name, x, _ in pairs if name == dataset],
                [y for name, _, y in pairs if name == dataset],
                s=34,
                color=(A, B, C)[index % 3],
                marker=markers[index % len(markers)],
                alpha=0.85,
                linewidth=0,
                label=dataset,
            )
        if study.rho is not None:
            axes.set_title(f"ρ = {study.rho:.2f}, n = {study.n}", loc="right", fontsize=9.5)
        axes.set_xlabel("proxy accuracy after one epoch (validation), %")
        axes.set_ylabel("final accuracy (test), %")
        if len(datasets) > 1:
            _legend(axes)
    return picture.svg


def rho_plot(study: Fidelity) -> str | None:
    """Draw rho with its 95 % interval per dataset and pooled, and the noise ceiling over them."""
    rows = [(name, found, B) for name, found in study.by_dataset.items()]
    if len(rows) > 1:
        rows.append(("all, within dataset", study.pooled, A))
    measured = [(f"{name}, n = {found.n}", found, colour) for name, found, colour in rows]
    if all(found.rho is None for _, found, _ in measured):
        return None
    with drawing("rho", "Rank correlation of proxy and final accuracy") as picture:
        axes = picture.axes
        for height, (_, found, colour) in enumerate(measured):
            if found.rho is not None and found.low is not None and found.high is not None:
                axes.plot((found.low, found.high), (height, height), color=colour, linewidth=2)
                axes.plot(found.rho, height, color=colour, marker="o", markersize=7)
        ceiling = study.ceiling
        if ceiling.rho is not None and ceiling.low is not None and ceiling.high is not None:
            axes.axvspan(ceiling.low, ceiling.high, color=C, alpha=0.14, linewidth=0)
            axes.axvline(ceiling.rho, color=C, linewidth=1.4, label="noise ceiling")
            _legend(axes)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(measured)), [label for label, _, _ in measured])
        axes.set_ylim(len(measured) - 0.4, -0.6)
        axes.set_xlim(-1.03, 1.03)
        axes.set_xlabel("Spearman's ρ")
    return picture.svg


def _percent(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]


def _line(colour: str, label: str) -> dict[str, Any]:
    return {"color": colour, "label": label, "linewidth": 2, "marker": "o", "markersize": 5}


def _by_cycle(axes: Axes, cycles: Sequence[int], unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    axes.set_xlim(min(cycles) - 0.3, max(cycles) + 0.3)
    axes.set_xlabel("cycle")
    axes.set_ylabel(unit)
    _legend(axes)


def _counted(axes: Axes, unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_xlabel(unit)
    axes.set_ylabel("candidates")


def _bins(values: Sequence[float]) -> int:
    return min(24, max(6, 2 * math.isqrt(len(values))))


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)
