"""What fresh seeds say of a run: how many edits improve, and how good the best networks are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from deltanas.records import Attempt, Purpose, Retraining, Run

Key = tuple[str, str]  # dataset and network


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The figures of the confirm stage; None where it was not run, or not to its end."""

    n: int  # new networks of the sample that compare with their parents
    improved: int  # of them beat their parent under every fresh seed
    best_accuracy: float | None = None  # mean test accuracy of the best network
    best_gain: float | None = None  # that less the same of the best baseline
    error: float | None = None  # 1 - mean test accuracy of the best networks
    error_baselines: float | None = None  # the same of as many baselines


def confirmation(run: Run) -> Confirmation:
    """Return the figures of a run's confirm stage, mean over its data sets.

    An edit is *improved* where its validation accuracy is above its parent's under every fresh
    seed. The *best* of ten has the highest mean validation accuracy; test accuracies are reported
    only. A network that fails under a seed is not improved, and not among the best.
    """
    chosen = run.meta.get("confirm") or {}
    whole = confirm_epochs(run)
    rows = {row.attempt_id: row for row in run.attempts}
    gains = [paired_gains(rows[name], whole) for name in chosen.get("sample", ())]
    known = [each for each in gains if each is not None]
    best = [(rows[name].dataset, name) for name in chosen.get("best", ())]
    baselines = [(dataset, name) for dataset, name in chosen.get("baselines", ())]
    best_accuracy, error = _best_and_error(best, whole)
    baseline_accuracy, error_baselines = _best_and_error(baselines, whole)
    return Confirmation(
        n=len(known),
        improved=sum(bool(each) and min(each) > 0 for each in known),
        best_accuracy=best_accuracy,
        best_gain=None
        if best_accuracy is None or baseline_accuracy is None
        else best_accuracy - baseline_accuracy,
        error=error,
        error_baselines=error_baselines,
    )


def confirm_epochs(run: Run) -> dict[Key, list[Retraining]]:
    """Return the epochs of every network that the confirm stage trained under all its seeds."""
    again: dict[Key, dict[int, Retraining]] = {}
    for each in run.retrainings:
        if each.purpose is Purpose.CONFIRM:
            again.setdefault((each.dataset, each.network_id), {})[each.number] = each
    seeds = {number for found in again.values() for number in found}
    return {key: list(found.values()) for key, found in again.items() if found.keys() == seeds}


def paired_gains(row: Attempt, again: Mapping[Key, Sequence[Retraining]]) -> list[float] | None:
    """Return a network's validation accuracy less its parent's, seed by seed.

    Empty where the network failed under a seed; None where the two do not compare.
    """
    own = again.get((row.dataset, row.attempt_id))
    parent = validation_accuracies(again.get((row.dataset, row.parent_id), ()))
    if own is None or not parent:
        return None
    mine = validation_accuracies(own)
    return [one - other for one, other in zip(mine, parent, strict=True)] if mine else []


def validation_accuracies(again: Iterable[Retraining]) -> list[float]:
    """Return validation accuracies by number of the seed; none where a seed has none."""
    found = [each.validation_accuracy for each in sorted(again, key=lambda each: each.number)]
    return [] if None in found else [value for value in found if value is not None]


def _best_and_error(
    networks: Sequence[Key], again: Mapping[Key, Sequence[Retraining]]
) -> tuple[float | None, float | None]:
    """Return the test accuracy of the best, and 1 less that of all, each a mean over data sets."""
    best, errors = [], []
    for dataset in dict.fromkeys(key[0] for key in networks):
        found = [again[key] for key in networks if key[0] == dataset and key in again]
        trained = [each for each in found if validation_accuracies(each)]
        if len(found) < len([key for key in networks if key[0] == dataset]) or not trained:
            return None, None  # the stage is not at its end
        tests = [
            fmean(one.test_accuracy for one in each if one.test_accuracy is not None)
            for each in trained
        ]
        means = [fmean(validation_accuracies(each)) for each in trained]
        best.append(tests[means.index(max(means))])
        errors.append(1 - fmean(tests))
    return (fmean(best), fmean(errors)) if best else (None, None)
