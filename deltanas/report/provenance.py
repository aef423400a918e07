"""Where a network of a run came from, and what was measured of it, as fields of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from deltanas.records import Attempt, Recipe, Retraining, Run, UsedBaseline, UserError
from deltanas.report.choosing import Choice
from deltanas.report.confirmation import Key, confirm_epochs, paired_gains, validation_accuracies
from deltanas.report.diffs import lineage, parents_of
from deltanas.report.formats import percent, points
from deltanas.report.network_file import network_file


class LineageError(UserError):
    """The rows of a run do not tell what a network was made from."""


def recipe_of(run: Run, row: Attempt) -> Recipe:
    """Return how a network was trained: as its parent was. Raises LineageError."""
    found = _used(run, row.dataset, row.parent_id)
    if found is None:
        raise LineageError(
            f"the run's file does not hold {row.parent_id}, from which {row.attempt_id} was made"
        )
    return found.baseline.recipe


def exported(
    run: Run, choice: Choice, directory: str, again: str, more: Sequence[tuple[str, str]] = ()
) -> str:
    """Return a network of a run as one file: its source under where it came from, and its recipe.

    `directory` names a run that does not name itself, `again` is the command that trains the file;
    `more` are further fields. Raises LineageError.
    """
    row = choice.row
    told = provenance(run, choice, run.meta.get("run_id") or directory)
    return network_file(row.code, [*told, *more], row.dataset, recipe_of(run, row), again=again)


def provenance(run: Run, choice: Choice, run_id: str) -> list[tuple[str, str]]:
    """Return what there is to tell, (name, text), in reading order."""
    row = choice.row
    config = run.meta.get("config") or {}
    llm = config.get("llm", {}).get("name", "unknown")
    proposer = config.get("proposer", {}).get("name", "llm")
    versions = run.meta.get("versions") or {}
    fields = [
        ("attempt", f"{row.attempt_id} of run {run_id}"),
        ("chosen", choice.reason),
        ("written by", f"{row.writer or proposer}" + (f", {llm}" if proposer == "llm" else "")),
        ("lineage", " <- ".join(lineage(row, parents_of(run)))),
        ("verdict", f"{row.verdict}" + (f"; {row.reason}" if row.reason else "")),
        *measured(run, row),
    ]
    if row.parameters is not None:
        fields.append(("parameters", f"{row.parameters:,}"))
    if versions:
        fields.append(("versions", ", ".join(f"{name} {versions[name]}" for name in versions)))
    return fields


def measured(run: Run, row: Attempt) -> list[tuple[str, str]]:
    """Return what was measured of a network, (accuracy or gain, text)."""
    return [
        *(("accuracy", text) for text in _accuracies(run, row)),
        *(("gain", text) for text in _gains(run, row)),
    ]


def _accuracies(run: Run, row: Attempt) -> Iterator[str]:
    if row.proxy_accuracy is not None:
        seed = (run.meta.get("config") or {}).get("seed", "unknown")
        yield (
            f"proxy {percent(row.proxy_accuracy)} on the validation split,"
            f" {percent(row.first_epoch_accuracy)} on the test split: one epoch, seed {seed}"
        )
    again = confirm_epochs(run).get((row.dataset, row.attempt_id), [])
    values = validation_accuracies(again)
    tests = [each.test_accuracy for each in again if each.test_accuracy is not None]
    if values and tests:
        seeds = ", ".join(str(each.seed) for each in again)
        yield (
            f"confirmed {percent(fmean(values))} on the validation split,"
            f" {percent(fmean(tests))} on the test split: means of one epoch under the fresh"
            f" seeds {seeds}"
        )
    for each in run.finalists:
        if each.attempt_id == row.attempt_id and each.curve and each.final_accuracy is not None:
            yield (
                f"final {percent(each.curve[-1])} on the validation split,"
                f" {percent(each.final_accuracy)} on the test split: {len(each.curve)} epochs"
            )


def _gains(run: Run, row: Attempt) -> Iterator[str]:
    if row.gain is not None:
        yield f"{points(row.gain)} over its parent: proxy accuracy, same recipe and seed"
    again = confirm_epochs(run)
    paired = paired_gains(row, again)
    if paired:
        yield (
            f"{points(fmean(paired))} over its parent: mean validation accuracy under"
            f" {len(paired)} fresh seeds, above it under {sum(each > 0 for each in paired)}"
        )
    yield from _over_baseline(run, row, again)


def _over_baseline(
    run: Run, row: Attempt, again: Mapping[Key, Sequence[Retraining]]
) -> Iterator[str]:
    """Tell how a confirmed network compares with the best of the baselines beside it."""
    rivals = {
        name: fmean(values)
        for dataset, name in (run.meta.get("confirm") or {}).get("baselines", ())
        if dataset == row.dataset
        and (values := validation_accuracies(again.get((dataset, name), ())))
    }
    own = validation_accuracies(again.get((row.dataset, row.attempt_id), ()))
    if own and rivals:
        best = min(rivals, key=lambda name: (-rivals[name], name))
        yield (
            f"{points(fmean(own) - rivals[best])} over {best}, the best baseline: mean validation"
            " accuracy under the same fresh seeds"
        )


def _used(run: Run, dataset: str, name: str) -> UsedBaseline | None:
    return next(
        (u for u in run.baselines if (u.dataset, u.baseline.baseline_id) == (dataset, name)), None
    )
