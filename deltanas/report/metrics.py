"""The figures of a run, from its rows: pure functions of frozen values.

Definitions: an attempt is *valid* when one epoch of training completed, *useful* when it is also
better than the majority class and was admitted to the pool. Rates count first attempts only, and
repairs in `valid_at_repair` alone. What was not measured is None.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist, fmean
from typing import Any

from deltanas.records import Attempt, CycleSummary, Purpose, Run, Stage, Summary, Verdict
from deltanas.report import keys
from deltanas.report.confirmation import confirmation
from deltanas.report.ranking import proxy_fidelity


def is_valid(attempt: Attempt) -> bool:
    """Tell whether the attempt trained for one epoch, or stands on the score of an equal one."""
    return attempt.verdict is Verdict.TRAINED


def is_useful(attempt: Attempt) -> bool:
    """Tell whether the attempt is valid, beats the majority class, and joined the pool."""
    return is_valid(attempt) and not attempt.degenerate and attempt.admitted


def first_attempts(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return the attempts that mend no other one."""
    return [attempt for attempt in attempts if attempt.repairs is None]


def valid_at_repair(attempts: Sequence[Attempt]) -> float | None:
    """Return the share of first attempts that are valid, or that a repair made so.

    Only what failed is mended, so of an attempt and its repairs one is valid at most.
    """
    return ratio(sum(map(is_valid, attempts)), len(first_attempts(attempts)))


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that were measured, or None where there are none."""
    measured = [value for value in values if value is not None]
    return fmean(measured) if measured else None


def ratio(part: int, whole: int) -> float | None:
    """Return part / whole, or None for an empty whole."""
    return part / whole if whole else None


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval for a rate (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Raises ValueError unless 0 <= successes <= n and n >= 1.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"0 <= successes <= n and n >= 1 must hold, found {successes} of {n}")
    z = NormalDist().inv_cdf(0.975)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    margin = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - margin)
    high = 1.0 if successes == n else min(1.0, centre + margin)
    return low, high


def summarise_cycle(
    cycle: int,
    attempts: Sequence[Attempt],
    *,
    tune_loss_before: float | None = None,
    tune_loss_after: float | None = None,
    adapter_kept: bool | None = None,
    seconds: Mapping[Stage, float] | None = None,
) -> CycleSummary:
    """Return what one cycle's attempts came to.

    `seconds` is the wall time of its stages; without it the times of the rows are added up.
    Raises ValueError when an attempt belongs to another cycle.
    """
    strangers = [attempt.attempt_id for attempt in attempts if attempt.cycle != cycle]
    if strangers:
        raise ValueError(f"cycle {cycle} cannot count attempts of others: {strangers}")
    first = first_attempts(attempts)
    comparable = _comparable(attempts)
    if seconds is None:
        seconds = {
            Stage.generate: math.fsum(attempt.seconds_generate for attempt in attempts),
            Stage.evaluate: math.fsum(attempt.seconds_evaluate for attempt in attempts),
        }
    return CycleSummary(
        cycle=cycle,
        attempted=len(first),
        valid=sum(map(is_valid, first)),
        useful=sum(map(is_useful, first)),
        distinct_valid=sum(attempt.distinct for attempt in first),
        admitted=sum(attempt.admitted for attempt in attempts),
        infrastructure_failures=_infrastructure_failures(first),
        mean_first_epoch_accuracy=mean(a.first_epoch_accuracy for a in comparable),
        best_first_epoch_accuracy=_best(comparable),
        mean_gain=mean(a.gain for a in comparable),
        mean_delta_lines=mean(a.delta_lines for a in attempts),
        mean_delta_tokens=mean(a.delta_tokens for a in attempts),
        tune_loss_before=tune_loss_before,
        tune_loss_after=tune_loss_after,
        adapter_kept=adapter_kept,
        seconds=dict(seconds),
    )


def cycles_of(finished: Sequence[CycleSummary], attempts: Sequence[Attempt]) -> list[CycleSummary]:
    """Return the finished cycles and, where a run broke off inside one, what is there of it."""
    rest = [attempt for attempt in attempts if attempt.cycle == len(finished)]
    return [*finished, summarise_cycle(len(finished), rest)] if rest else list(finished)


def cycle_metrics(summary: CycleSummary) -> dict[str, float]:
    """Return one cycle's measured figures under the names of `names`; the rest is left out."""
    figures: dict[str, float | None] = {
        keys.CYCLE: summary.cycle,
        keys.VALID_RATE: ratio(summary.valid, summary.attempted),
        keys.USEFUL_RATE: ratio(summary.useful, summary.attempted),
        keys.DISTINCT_RATE: None
        if summary.distinct_valid is None
        else ratio(summary.distinct_valid, summary.attempted),
        keys.MEAN_FIRST_EPOCH_ACCURACY: summary.mean_first_epoch_accuracy,
        keys.BEST_FIRST_EPOCH_ACCURACY: summary.best_first_epoch_accuracy,
        keys.MEAN_GAIN: summary.mean_gain,
        keys.DELTA_LINES: summary.mean_delta_lines,
        keys.DELTA_TOKENS: summary.mean_delta_tokens,
        keys.ADMITTED: summary.admitted,
        keys.INFRASTRUCTURE_FAILURES: summary.infrastructure_failures,
        keys.SECONDS_BASELINES: summary.seconds.get(Stage.baselines, 0.0),
        keys.SECONDS_GENERATE: summary.seconds.get(Stage.generate, 0.0),
        keys.SECONDS_SCREEN: summary.seconds.get(Stage.screen, 0.0),
        keys.SECONDS_EVALUATE: summary.seconds.get(Stage.evaluate, 0.0),
        keys.SECONDS_RACE: summary.seconds.get(Stage.race, 0.0),
        keys.SECONDS_TUNE: summary.seconds.get(Stage.tune, 0.0),
        keys.SECONDS_RECORD: summary.seconds.get(Stage.record, 0.0),
        keys.TUNE_LOSS_BEFORE: summary.tune_loss_before,
        keys.TUNE_LOSS_AFTER: summary.tune_loss_after,
    }
    return {name: value for name, value in figures.items() if value is not None}


def study_metrics(summary: Summary) -> dict[str, float]:
    """Return the measured figures of what comes after the cycles."""
    figures = {
        keys.CONFIRMED_RATE: summary.confirmed_improved_rate,
        keys.CONFIRMED_BEST: summary.confirmed_best_accuracy,
        keys.CONFIRMED_GAIN: summary.confirmed_best_gain,
        keys.TOP10_ERROR: summary.top10_error,
        keys.TOP10_ERROR_BASELINES: summary.top10_error_baselines,
        keys.SPEARMAN_RHO: summary.spearman_rho,
        keys.SPEARMAN_LOW: summary.spearman_low,
        keys.SPEARMAN_HIGH: summary.spearman_high,
        keys.SPEARMAN_N: summary.spearman_n,
    }
    return {name: value for name, value in figures.items() if value is not None}


def run_summary(
    run: Run,
    *,
    run_id: str,
    llm: str,
    dataset: str,
    archive: str,
    protocol: str,
    ablation: str | None,
    seed: int,
    wall_seconds: float | None,
    seconds: Mapping[Stage, float | None],
    mends: bool = False,
) -> Summary:
    """Return the figures of a run; `seconds` holds the stages that are not part of a cycle.

    `mends` tells whether failed attempts were to be mended.
    """
    attempts, first = run.attempts, first_attempts(run.attempts)
    asked, valid = len(first), sum(map(is_valid, first))
    comparable = _comparable(attempts)
    infrastructure = _infrastructure_failures(first)
    cycles = cycles_of(run.cycles, attempts)
    low, high = wilson_interval(valid, asked) if asked else (None, None)
    study = proxy_fidelity(run.finalists, seed)
    return Summary(
        run_id=run_id,
        llm=llm,
        dataset=dataset,
        archive=archive,
        protocol=protocol,
        ablation=ablation,
        seed=seed,
        cycles=len(cycles),
        attempted=len(attempts),
        valid=valid,
        valid_rate=ratio(valid, asked),
        valid_rate_low=low,
        valid_rate_high=high,
        valid_rate_excl_infra=ratio(valid, asked - infrastructure),
        useful_rate=ratio(sum(map(is_useful, first)), asked),
        infrastructure_failures=infrastructure,
        **_found(run),
        repairs=len(attempts) - asked if mends else None,
        valid_at_repair=valid_at_repair(attempts) if mends else None,
        mean_first_epoch_accuracy=mean(a.first_epoch_accuracy for a in comparable),
        best_first_epoch_accuracy=_best(comparable),
        mean_gain=mean(a.gain for a in comparable),
        **_lengths(attempts),
        spearman_rho=study.rho,
        spearman_low=study.low,
        spearman_high=study.high,
        spearman_n=study.n,
        prompt_tokens=sum(a.prompt_tokens for a in attempts),
        output_tokens=sum(a.output_tokens for a in attempts),
        wall_seconds=wall_seconds,
        seconds={stage: seconds.get(stage, _spent(cycles, stage)) for stage in Stage},
        verdicts=count_verdicts(attempts),
    )


def _lengths(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Return how long deltas and whole networks are, by the summary's keys."""
    delta_lines = mean(a.delta_lines for a in attempts)
    delta_tokens = mean(a.delta_tokens for a in attempts)
    full_lines = mean(a.full_lines for a in attempts)
    return {
        "mean_delta_lines": delta_lines,
        "mean_delta_tokens": delta_tokens,
        "mean_full_lines": full_lines,
        "reduction_lines": _reduction(delta_lines, full_lines),
        "reduction_tokens": _reduction(delta_tokens, mean(a.full_tokens for a in attempts)),
    }


def _found(run: Run) -> dict[str, Any]:
    """Return what is new, and what fresh seeds say of it, by the summary's keys."""
    epochs = Counter(again.purpose for again in run.retrainings)
    distinct = sum(attempt.distinct for attempt in run.attempts)
    figures: dict[str, Any] = {
        "distinct_valid": distinct,
        "distinct_rate": ratio(distinct, len(run.attempts)),
        "race_epochs": epochs[Purpose.RACE],
        "confirm_epochs": epochs[Purpose.CONFIRM],
    }
    found = confirmation(run)
    if found.n:
        low, high = wilson_interval(found.improved, found.n)
        figures |= {
            "confirmed_n": found.n,
            "confirmed_improved": found.improved,
            "confirmed_improved_rate": found.improved / found.n,
            "confirmed_improved_low": low,
            "confirmed_improved_high": high,
        }
    return figures | {
        "improved_networks": found.networks,
        "confirmed_best_accuracy": found.best_accuracy,
        "confirmed_best_gain": found.best_gain,
        "top10_error": found.error,
        "top10_error_baselines": found.error_baselines,
    }


def _spent(cycles: Sequence[CycleSummary], stage: Stage) -> float | None:
    """Return the seconds that cycles took for a stage; None for one that is in no cycle."""
    if stage in (Stage.confirm, Stage.study):
        return None
    return math.fsum(cycle.seconds.get(stage, 0.0) for cycle in cycles)


def count_verdicts(attempts: Iterable[Attempt]) -> dict[str, int]:
    """Return how many attempts ended with each verdict, zeros included, in the gates' order."""
    counts = Counter(attempt.verdict for attempt in attempts)
    return {verdict.value: counts[verdict] for verdict in Verdict}


def _comparable(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return those that trained for one epoch and no longer."""
    return [attempt for attempt in attempts if is_valid(attempt) and not attempt.overworked]


def _infrastructure_failures(attempts: Iterable[Attempt]) -> int:
    return sum(attempt.verdict is Verdict.INFRASTRUCTURE for attempt in attempts)


def _best(valid: Iterable[Attempt]) -> float | None:
    accuracies = (a.first_epoch_accuracy for a in valid)
    return max((each for each in accuracies if each is not None), default=None)


def _reduction(mean_delta: float | None, mean_full: float | None) -> float | None:
    return None if mean_delta is None or not mean_full else 1 - mean_delta / mean_full
