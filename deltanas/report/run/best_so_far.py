"""The picture beside a run's finding: the best network so far against attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean, median
from typing import Any

from deltanas.records import Run
from deltanas.report.confirmation import fresh_accuracies, leads
from deltanas.report.metrics import is_valid
from deltanas.report.run.finding import best_baseline
from deltanas.report.svg import INK, A, B, C, drawing

WRITERS = 3  # lines of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class BestSoFar:
    """What the picture shows; heights are percent, or points over the best baseline."""

    unit: str
    points: Mapping[str, Sequence[tuple[int, float]]]  # by writer: attempt, from 1, and height
    reference: float | None  # the best baseline; None where none trained
    fresh_reference: float | None  # the best baseline under fresh seeds, mean
    fresh: Sequence[tuple[int, float, float, float]]  # attempt, mean, least, most of fresh seeds
    attempts: int


def best_so_far(run: Run) -> BestSoFar | None:
    """Return what is to be drawn of a run, or None where no network trained.

    With several data sets heights are points over the best baseline of each.
    """
    names = dict.fromkeys(attempt.dataset for attempt in run.attempts)
    known = {name: best_baseline(run, name) for name in names}
    origin = {name: best[1] if best else 0.0 for name, best in known.items()}
    if len(names) == 1:
        unit, reference = "accuracy (validation), %", next(iter(known.values()))
        height = 100 * reference[1] if reference else None
        origin = dict.fromkeys(names, 0.0)
    else:
        unit, height = "points over the best baseline (validation)", 0.0
    numbers = {attempt.attempt_id: number for number, attempt in enumerate(run.attempts, 1)}
    points: dict[str, list[tuple[int, float]]] = {}
    for attempt in run.attempts:
        if is_valid(attempt) and not attempt.degenerate and attempt.proxy_accuracy is not None:
            y = 100 * (attempt.proxy_accuracy - origin[attempt.dataset])
            points.setdefault(attempt.writer, []).append((numbers[attempt.attempt_id], y))
    if not points:
        return None
    return BestSoFar(
        unit=unit,
        points=points,
        reference=height,
        fresh_reference=_fresh_reference(run, origin),
        fresh=list(_fresh(run, numbers, origin)),
        attempts=len(run.attempts),
    )


def _fresh(
    run: Run, numbers: Mapping[str, int], origin: Mapping[str, float]
) -> Iterable[tuple[int, float, float, float]]:
    for (dataset, name), accuracies in fresh_accuracies(run).items():
        if name in numbers:
            heights = [100 * (value - origin[dataset]) for value in accuracies]
            yield numbers[name], fmean(heights), min(heights), max(heights)


def _fresh_reference(run: Run, origin: Mapping[str, float]) -> float | None:
    """Return the mean height of the best baselines under fresh seeds."""
    fresh = fresh_accuracies(run)
    found = [
        100 * (fmean(fresh[lead.dataset, lead.baseline_id]) - origin[lead.dataset])
        for lead in leads(run)
    ]
    return fmean(found) if found else None


def best_so_far_plot(found: BestSoFar | None) -> str | None:
    """Draw every network, the best so far of each writer, and what fresh seeds say of some."""
    if found is None:
        return None
    with drawing("best-so-far", "Best accuracy so far against attempts") as picture:
        axes = picture.axes
        every = [point for points in found.points.values() for point in points]
        lines = found.points if 1 < len(found.points) <= WRITERS else {"": sorted(every)}
        across, up = zip(*every, strict=True)
        axes.scatter(across, up, s=9, color=INK, alpha=0.28, linewidth=0)
        for (writer, points), colour in zip(lines.items(), (A, C, INK), strict=False):
            x, heights = zip(*points, strict=True)
            axes.step(
                [*x, found.attempts],
                [*accumulate(heights, max), max(heights)],
                where="post",
                color=colour,
                linewidth=2,
                label=f"best so far{f', {writer}' if writer else ''}",
            )
        for height, colour, label in (
            (found.reference, A, "best baseline"),
            (found.fresh_reference, B, "baseline, fresh seeds"),
        ):
            if height is not None:
                stroke: Any = (0, (4, 3))
                axes.axhline(height, color=colour, linewidth=1.2, linestyle=stroke, label=label)
        if found.fresh:
            x, means, lows, highs = zip(*found.fresh, strict=True)
            axes.vlines(x, lows, highs, color=B, linewidth=1.4)
            axes.scatter(
                x, means, s=24, color=B, marker="D", zorder=3, label="networks, fresh seeds"
            )
        axes.set_ylim(*_window(found, [height for _, height in every]))
        axes.set_xlim(0, found.attempts + 1)
        axes.set_xlabel("attempt")
        axes.set_ylabel(found.unit)
        axes.legend(
            frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0
        )
    return picture.svg


def _window(found: BestSoFar, heights: Sequence[float]) -> tuple[float, float]:
    """Return the range of heights that is drawn: the better half, and all that is named."""
    named = [low for _, _, low, _ in found.fresh] + [high for _, _, _, high in found.fresh]
    named += [height for height in (found.reference, found.fresh_reference) if height is not None]
    low, high = min([median(heights), *named]), max([*heights, *named])
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room
