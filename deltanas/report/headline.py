"""The headline figures of a run in words: what the report and the console both say."""

from __future__ import annotations

from dataclasses import dataclass

from deltanas.records import Summary
from deltanas.report.formats import (
    NOT_MEASURED,
    count,
    decimal,
    percent,
    percent_range,
    points,
)
from deltanas.report.metrics import wilson_interval

_NOT_CONFIRMED = "none was trained again under every fresh seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One headline figure: what it is, its value, and what to know beside it."""

    title: str
    value: str
    note: str


def headline(summary: Summary) -> list[Figure]:
    """Return the headline figures in reading order."""
    return [
        Figure(
            title="Confirmed best",
            value=percent(summary.confirmed_best_accuracy),
            note=_best(summary),
        ),
        Figure(
            title="Improved networks",
            value=count(summary.improved_networks),
            note="new, and better than their parent under every fresh seed; of the sample and the"
            " best that were trained again",
        ),
        Figure(
            title="Confirmed improved",
            value=percent(summary.confirmed_improved_rate),
            note=_improved(summary),
        ),
        Figure(title="Valid rate", value=percent(summary.valid_rate), note=_valid(summary)),
        Figure(
            title="Useful rate",
            value=percent(summary.useful_rate),
            note="valid, better than the majority class, and admitted to the pool",
        ),
        Figure(
            title="Distinct rate", value=percent(summary.distinct_rate), note=_distinct(summary)
        ),
        Figure(
            title="Mean first-epoch accuracy",
            value=percent(summary.mean_first_epoch_accuracy),
            note="test split, over valid candidates",
        ),
        Figure(
            title="Best first-epoch accuracy",
            value=percent(summary.best_first_epoch_accuracy),
            note="test split; reported, never selected on",
        ),
        Figure(
            title="Mean gain",
            value=points(summary.mean_gain),
            note="proxy accuracy over the parent's, same recipe and seed",
        ),
        Figure(title="Delta length", value=_lines(summary), note=_reduction(summary)),
        Figure(title="Spearman ρ", value=decimal(summary.spearman_rho, 2), note=_study(summary)),
        Figure(
            title="Tokens written",
            value=count(summary.output_tokens),
            note=f"after {count(summary.prompt_tokens)} tokens of prompts",
        ),
    ]


def stages(summary: Summary) -> list[tuple[str, float, float]]:
    """Return (stage, seconds, share of all stages) of those that took time, in their order."""
    spent = {stage: seconds for stage, seconds in summary.seconds.items() if seconds}
    total = sum(spent.values())
    return [(stage.value, seconds, seconds / total) for stage, seconds in spent.items()]


def _valid(summary: Summary) -> str:
    asked, repairs = summary.first_attempts, summary.repairs
    note = f"{summary.valid} of {asked} {'first ' if repairs else ''}attempts"
    if summary.valid_rate is not None:
        interval = percent_range(summary.valid_rate_low, summary.valid_rate_high)
        note += f"; 95 % interval {interval}"
    failures = summary.infrastructure_failures
    counted = asked - (failures or 0)
    if failures and counted:
        rate = percent(summary.valid_rate_excl_infra)
        interval = percent_range(*wilson_interval(summary.valid, counted))
        note += (
            f"; {rate} (95 % interval {interval})"
            f" without {failures} infrastructure failure{'s'[: failures > 1]}"
        )
    elif failures:
        note += "; the machine failed every one"
    if repairs:
        note += f"; {percent(summary.valid_at_repair)} after {repairs} repair{'s'[: repairs > 1]}"
    return note


def _distinct(summary: Summary) -> str:
    return f"{count(summary.distinct_valid)} new networks of {summary.attempted} attempts"


def _best(summary: Summary) -> str:
    if summary.confirmed_best_accuracy is None:
        return _NOT_CONFIRMED
    error, before = percent(summary.top10_error), percent(summary.top10_error_baselines)
    return (
        f"test split under fresh seeds, {points(summary.confirmed_best_gain)} over the best"
        f" baseline; error of the best {error}, of the best baselines {before}"
    )


def _improved(summary: Summary) -> str:
    if summary.confirmed_improved is None:
        return _NOT_CONFIRMED
    interval = percent_range(summary.confirmed_improved_low, summary.confirmed_improved_high)
    return (
        f"{summary.confirmed_improved} of {summary.confirmed_n} new networks beat their parent"
        f" under every fresh seed; 95 % interval {interval}"
    )


def _lines(summary: Summary) -> str:
    lines = summary.mean_delta_lines
    return NOT_MEASURED if lines is None else f"{decimal(lines)} lines"


def _reduction(summary: Summary) -> str:
    parts = [
        f"{percent(share)} fewer {unit}"
        for share, unit in (
            (summary.reduction_lines, "lines"),
            (summary.reduction_tokens, "tokens"),
        )
        if share is not None
    ]
    if not parts:
        return "no whole networks to compare with"
    return f"{' and '.join(parts)} than the whole networks"


def _study(summary: Summary) -> str:
    n = summary.spearman_n
    if summary.spearman_rho is None:
        return f"needs at least 4 finalists that differ; {n} could be ranked"
    low, high = decimal(summary.spearman_low, 2), decimal(summary.spearman_high, 2)
    return f"proxy against full training, n\u00a0=\u00a0{n}; 95 % interval {low} to {high}"
