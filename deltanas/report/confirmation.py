"""What fresh seeds say of a run: how many edits improve, and how good the best networks are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from deltanas.records import Attempt, Purpose, Retraining, Run

Key = tuple[str, str]  # dataset and network


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The figures of the confirm stage; 0 and None where it was not run, or not to its end."""

    n: int  # new networks of the sample that compare with their parents
    improved: int  # of them beat their parent under every fresh seed
    networks: int | None = None  # of these and the best, as many as did
    best_accuracy: float | None = None  # mean test accuracy of the best network
    best_gain: float | None = None  # that less the same of the best baseline
    error: float | None = None  # 1 - mean test accuracy of the best networks
    error_baselines: float | None = None  # the same of as many baselines


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """The best network of a data set beside its best baseline, on the test split.

    Both were chosen by their mean validation accuracy; accuracies stand in the order of the seeds.
    """

    dataset: str
    network_id: str
    accuracies: tuple[float, ...]
    baseline_id: str
    baseline_accuracies: tuple[float, ...]

    @property
    def gains(self) -> list[float]:
        """What the network is ahead of the baseline under each seed."""
        return [
            one - other
            for one, other in zip(self.accuracies, self.baseline_accuracies, strict=True)
        ]


def confirmation(run: Run) -> Confirmation:
    """Return the figures of a run's confirm stage, mean over its data sets.

    An edit is *improved* where its validation accuracy is above its parent's under every fresh
    seed. The *best* of ten has the highest mean validation accuracy; test accuracies are reported
    only. A network that fails under a seed is not improved, and not among the best.
    """
    chosen, whole = run.meta.get("confirm") or {}, _to_the_end(run)
    rows = {row.attempt_id: row for row in run.attempts}
    gains = [paired_gains(rows[name], whole) for name in chosen.get("sample", ())]
    known = [each for each in gains if each is not None]
    best, baselines = _chosen(run)
    best_accuracy, error = _best_and_error(best, whole)
    baseline_accuracy, error_baselines = _best_and_error(baselines, whole)
    return Confirmation(
        n=len(known),
        improved=sum(map(_improved, known)),
        networks=len(improved(run)) if whole else None,
        best_accuracy=best_accuracy,
        best_gain=None
        if best_accuracy is None or baseline_accuracy is None
        else best_accuracy - baseline_accuracy,
        error=error,
        error_baselines=error_baselines,
    )


def improved(run: Run) -> list[str]:
    """Return the attempts that beat their parent under every fresh seed of the stage."""
    return [name for name, gains in fresh_gains(run).items() if _improved(gains)]


def leads(run: Run) -> list[Lead]:
    """Return the best network of every data set; none where the stage is not at its end."""
    whole = _to_the_end(run)
    found, references = (_trained(networks, whole) for networks in _chosen(run))
    if not found or not references:
        return []
    pairs = [
        (dataset, *_best(found[dataset]), *_best(references[dataset]))
        for dataset in found
        if dataset in references
    ]
    return [
        Lead(
            dataset=dataset,
            network_id=name,
            accuracies=tuple(_tests(again)),
            baseline_id=reference,
            baseline_accuracies=tuple(_tests(before)),
        )
        for dataset, name, again, reference, before in pairs
    ]


def confirmed_best(run: Run) -> dict[str, dict[str, list[float]]]:
    """Return by data set what the best networks reach on the validation split, seed by seed.

    Empty where the stage is not at its end.
    """
    trained = _trained(_chosen(run)[0], _to_the_end(run))
    return {
        dataset: {name: validation_accuracies(again) for name, again in found.items()}
        for dataset, found in trained.items()
    }


def fresh_gains(run: Run) -> dict[str, list[float]]:
    """Return by attempt what it gained over its parent under each fresh seed of the stage.

    Empty for an attempt that failed under one; those that were not trained again are left out.
    """
    whole = confirm_epochs(run)
    gains = {row.attempt_id: paired_gains(row, whole) for row in run.attempts}
    return {name: found for name, found in gains.items() if found is not None}


def fresh_accuracies(run: Run) -> dict[Key, list[float]]:
    """Return by data set and network its validation accuracy under each seed of the stage."""
    found = {key: validation_accuracies(again) for key, again in confirm_epochs(run).items()}
    return {key: accuracies for key, accuracies in found.items() if accuracies}


def confirm_epochs(run: Run) -> dict[Key, list[Retraining]]:
    """Return the epochs of every network that the confirm stage trained under all its seeds."""
    again: dict[Key, dict[int, Retraining]] = {}
    for each in run.retrainings:
        if each.purpose is Purpose.CONFIRM:
            again.setdefault((each.dataset, each.network_id), {})[each.number] = each
    chosen = run.meta.get("confirm") or {}
    seen = {number for found in again.values() for number in found}
    seeds = set(range(chosen["seeds"])) if "seeds" in chosen else seen  # runs before it was kept
    return {
        key: [found[number] for number in sorted(seeds)]
        for key, found in again.items()
        if found.keys() == seeds
    }


def _improved(gains: Sequence[float]) -> bool:
    return bool(gains) and min(gains) > 0


def stage_networks(run: Run) -> set[Key]:
    """Return what the confirm stage trains: sample and best with their parents, and baselines.

    Empty where it has not chosen yet.
    """
    chosen = run.meta.get("confirm") or {}
    rows = {row.attempt_id: row for row in run.attempts}
    names = [*chosen.get("sample", ()), *chosen.get("best", ())]
    edited = {
        (rows[name].dataset, each) for name in names for each in (name, rows[name].parent_id)
    }
    return edited | {(dataset, name) for dataset, name in chosen.get("baselines", ())}


def _to_the_end(run: Run) -> dict[Key, list[Retraining]]:
    """Return the epochs of the stage; none where one is missing, as there is nothing to tell."""
    found = confirm_epochs(run)
    return found if stage_networks(run) <= found.keys() else {}


def _chosen(run: Run) -> tuple[list[Key], list[Key]]:
    """Return the networks, and the baselines, that were chosen as the best."""
    chosen = run.meta.get("confirm") or {}
    rows = {row.attempt_id: row for row in run.attempts}
    return (
        [(rows[name].dataset, name) for name in chosen.get("best", ())],
        [(dataset, name) for dataset, name in chosen.get("baselines", ())],
    )


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
    trained = _trained(networks, again)
    if not trained:
        return None, None
    best = [fmean(_tests(_best(found)[1])) for found in trained.values()]
    errors = [
        1 - fmean(fmean(_tests(each)) for each in found.values()) for found in trained.values()
    ]
    return fmean(best), fmean(errors)


def _trained(
    networks: Sequence[Key], again: Mapping[Key, Sequence[Retraining]]
) -> dict[str, dict[str, Sequence[Retraining]]]:
    """Return by data set the networks that trained under every seed, with these trainings.

    Empty where one is missing, or where none of a data set trained: there is nothing to tell yet.
    """
    found: dict[str, dict[str, Sequence[Retraining]]] = {}
    for dataset, name in networks:
        trained = found.setdefault(dataset, {})
        if (dataset, name) not in again:
            return {}
        if validation_accuracies(again[dataset, name]):
            trained[name] = again[dataset, name]
    return found if all(found.values()) else {}


def _best(trained: Mapping[str, Sequence[Retraining]]) -> tuple[str, Sequence[Retraining]]:
    """Return the network with the highest mean validation accuracy; of several the first."""
    name = max(trained, key=lambda name: fmean(validation_accuracies(trained[name])))
    return name, trained[name]


def _tests(again: Iterable[Retraining]) -> list[float]:
    """Return test accuracies by number of the seed."""
    return [each.test_accuracy for each in again if each.test_accuracy is not None]
