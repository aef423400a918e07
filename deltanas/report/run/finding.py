"""What a run found, in a sentence: the best network, its gain, how many improved, at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from deltanas.records import Attempt, Origin, Run, Summary, Verdict
from deltanas.report.confirmation import Lead, leads
from deltanas.report.diffs import best_attempts
from deltanas.report.formats import count, duration, percent, percent_range, points
from deltanas.report.metrics import is_valid
from deltanas.report.spreads import Spread, spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A sentence that may begin with a network of the run, and what to know beside it."""

    network: str | None  # an attempt
    sentence: str  # what is said of it; a whole sentence where there is none
    verdict: str = ""  # whether the figure shows anything
    details: tuple[str, ...] = ()
    by_dataset: tuple[tuple[Lead, Spread], ...] = ()  # where there are several data sets


def finding(run: Run, summary: Summary) -> Finding:
    """Return what came out of a run, however far it got."""
    details = tuple(filter(None, (_improved(run, summary), _cost(run, summary))))
    found = leads(run)
    if found:
        return _confirmed(found, details)
    best = best_attempts(run.attempts, 1)
    if best:
        return _unconfirmed(run, summary, best[0], details)
    return Finding(network=None, sentence=_nothing(run), details=details)


def _confirmed(found: Sequence[Lead], details: tuple[str, ...]) -> Finding:
    by_dataset = []
    for lead in found:
        gains = spread(lead.gains)
        if gains is not None:
            by_dataset.append((lead, gains))
    if len(found) == 1:
        (lead,), gain = found, spread(found[0].gains)
        seeds = f"{len(lead.accuracies)} fresh seed{'s'[: len(lead.accuracies) > 1]}"
        return Finding(
            network=lead.network_id,
            sentence=f"reaches {percent(fmean(lead.accuracies))} on the test split of"
            f" {lead.dataset} under {seeds}: {_gain(gain)} against the best"
            f" baseline, {lead.baseline_id}.",
            verdict=_meaning(gain, "fresh seeds"),
            details=details,
        )
    gain = spread(gains.mean for _, gains in by_dataset)
    return Finding(
        network=None,
        sentence=f"On {len(found)} data sets the best confirmed networks stand at {_gain(gain)}"
        " against the best baselines, on the test split under fresh seeds.",
        verdict=_meaning(gain, "data sets"),
        details=details,
        by_dataset=tuple(by_dataset),
    )


def gain_interval(gain: Spread) -> str:
    """Return Student's interval of a gain, `−0.5 to +1.2 pp`, or why there is none."""
    if gain.low is None or gain.high is None:
        return "no interval: " + ("one seed" if gain.n == 1 else "all seeds agree")
    return f"{points(gain.low)} to {points(gain.high)}"


def _gain(gain: Spread | None) -> str:
    if gain is None:
        return points(None)
    told = gain_interval(gain)
    return f"{points(gain.mean)} ({told if gain.low is None else f'95 % interval {told}'})"


def _meaning(gain: Spread | None, over: str) -> str:
    if gain is None or gain.low is None or gain.high is None:
        return "Without an interval this says nothing about another seed: confirm.seeds=3 does."
    if gain.low > 0:
        told = "The interval lies above zero: the best baseline was beaten."
    elif gain.high < 0:
        told = "The interval lies below zero: the best baseline is better."
    else:
        told = "The interval holds zero: nothing better than the best baseline was shown."
    return f"{told} It is Student's, of differences paired over {gain.n} {over}."


def _unconfirmed(run: Run, summary: Summary, best: Attempt, details: tuple[str, ...]) -> Finding:
    baseline = best_baseline(run, best.dataset)
    beside = "."
    if baseline is not None and best.proxy_accuracy is not None:
        name, accuracy = baseline
        beside = f", {points(best.proxy_accuracy - accuracy)} against the best baseline, {name}."
    asked = ((run.meta.get("config") or {}).get("confirm") or {}).get("best")
    why = "the run ended before that stage was over" if asked else "confirm.best asked for none"
    return Finding(
        network=best.attempt_id,
        sentence=f"leads on the one seed that it was trained with:"
        f" {percent(best.proxy_accuracy)} on the validation split of {best.dataset} after one"
        f" epoch{beside}",
        verdict=f"No network was confirmed ({why}). The best of many single measurements is"
        " noise for a good part.",
        details=details,
    )


def best_baseline(run: Run, dataset: str) -> tuple[str, float] | None:
    """Return the network of the archive that leads on the search's own seed, with its accuracy.

    The accuracy is on the validation split after one epoch. None where none trained.
    """
    found = [
        (used.baseline.baseline_id, used.baseline.proxy_accuracy)
        for used in run.baselines
        if used.dataset == dataset and used.origin is Origin.ARCHIVE
    ]
    trained = [(name, accuracy) for name, accuracy in found if accuracy is not None]
    return max(trained, key=lambda pair: pair[1], default=None)


def _nothing(run: Run) -> str:
    """Say of a run without a sound network what became of its attempts."""
    if not run.attempts:
        return "The run ended before its first attempt: there is nothing to show yet."
    asked = len(run.attempts)
    many = f"the {count(asked)} attempts" if asked > 1 else "the one attempt"
    if any(map(is_valid, run.attempts)):
        return f"None of {many} trained better than always answering the majority class."
    ends = [attempt.verdict for attempt in run.attempts]
    most = max(Verdict, key=ends.count)
    return (
        f"None of {many} gave a network that trains: {count(ends.count(most))} ended as {most}."
        f" {most.for_people}"
    )


def _improved(run: Run, summary: Summary) -> str:
    if summary.confirmed_improved is None and summary.improved_networks:
        return f"{summary.improved_networks} of the best beat their parent under every fresh seed."
    if summary.confirmed_improved is not None:
        interval = percent_range(summary.confirmed_improved_low, summary.confirmed_improved_high)
        return (
            f"{summary.confirmed_improved} of {summary.confirmed_n} new networks drawn beat their"
            f" parent under every fresh seed: {percent(summary.confirmed_improved_rate)}"
            f" (95 % interval {interval}); with the best that makes"
            f" {count(summary.improved_networks)}."
        )
    gains = [a.gain for a in run.attempts if a.distinct and a.gain is not None]
    if not gains:
        return ""
    return (
        f"{sum(gain > 0 for gain in gains)} of {len(gains)} new networks were better than their"
        " parent on the one seed that both were trained with; none was checked under another."
    )


def _cost(run: Run, summary: Summary) -> str:
    """Say what a run took; epochs are those of attempts, baselines, races and finalists alike."""
    if not run.attempts:
        return ""
    trained = sum(attempt.distinct for attempt in run.attempts)
    scored = (used for used in run.baselines if used.origin is Origin.ARCHIVE)
    baselines = sum(used.baseline.proxy_accuracy is not None for used in scored)
    study = sum(len(finalist.curve) for finalist in (*run.finalists, *run.repeats))
    epochs = trained + baselines + len(run.retrainings) + study
    asked = summary.attempted
    return (
        f"It took {count(asked)} attempt{'s'[: asked != 1]} ({summary.valid} valid,"
        f" {count(summary.distinct_valid)} new), {count(epochs)} epochs of training,"
        f" {count(summary.output_tokens)} tokens written and {duration(summary.wall_seconds)}."
    )
