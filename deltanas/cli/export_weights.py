"""A network of a run trained in the jail, and its weights as a file.

They are answered by the process of a network, which nothing is believed: so the file is loaded
into a fresh process, and the accuracies that it is given are those of its answers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from deltanas.cli.one_network import Trial, job_of, judged, one_worker, screened
from deltanas.cli.streams import emit
from deltanas.cli.terminal import terminal
from deltanas.cli.whole_run import config_of
from deltanas.evaluate import ImageData
from deltanas.evaluate.weights import checked_weights
from deltanas.records import Attempt, Evaluation, Job, Loop, Run, UserError, Verdict
from deltanas.report.formats import percent, visible
from deltanas.report.provenance import recipe_of

_APART = 0.005  # accuracies further from each other are not rounding


class TrainingError(UserError):
    """A network that gave no weights; the message says how its training ended."""


def export_weights(run: Run, row: Attempt, epochs: int, path: Path) -> list[tuple[str, str]]:
    """Train a network, write its weights, and return what its file says of them.

    What makes them worth nothing, as that it learned nothing, is said and in the file. Raises
    TrainingError where the screen refuses it (a foreign run may hold anything), where it does not
    train, or where its weights do not make it again.
    """
    refused = screened(row.code)
    if refused:
        raise TrainingError(_failure(row, refused, "pass the screen"))
    recipe = recipe_of(run, row)
    trial = Trial(config=config_of(run, row.dataset), recipe=recipe, told_by="the run")
    console = terminal()
    job = replace(job_of(row.code, trial, epochs), keep_weights=True)
    with one_worker(trial, console) as (executor, images):
        with console.status(f"training for {epochs} epoch{'s'[: epochs > 1]}"):
            (trained,) = executor.map([job])
        if trained.verdict is not Verdict.TRAINED or trained.weights is None:
            raise TrainingError(_failure(row, trained, f"train for {epochs} epochs"))
        (loaded,) = executor.map([_loading(job, trained.weights)])
        if loaded.verdict is not Verdict.TRAINED:
            raise TrainingError(_failure(row, loaded, "take its own weights back"))
    if abs((loaded.test_accuracy or 0.0) - (trained.test_accuracy or 0.0)) > _APART:
        emit(
            f"loaded anew it has {percent(loaded.test_accuracy)} on the test split, where it had"
            f" {percent(trained.test_accuracy)}: it keeps something outside of its weights\n"
        )
    told = _told(job, loaded, images, epochs)
    doubt = _doubt(trained, loaded, images)
    if doubt:
        emit(f"{visible(doubt)}\n")
        told.append(("doubt", doubt))
    partial = path.with_name(f".{path.name}.unfinished")
    metadata = {"network": row.attempt_id, "dataset": row.dataset, **dict(told)}
    partial.write_bytes(checked_weights(trained.weights, metadata))
    partial.replace(path)
    emit(f"  {told[0][1]}\n{path}\n")
    return [("weights", f"{path.name}, for safetensors.torch.load_file"), *told]


def _loading(job: Job, weights: bytes) -> Job:
    """Return the job that answers with weights, in our loop, as the network's own trains."""
    return replace(job, keep_weights=False, weights=weights, epochs=1, loop=Loop.trusted)


def _doubt(trained: Evaluation, loaded: Evaluation, images: ImageData) -> str:
    """Return why the weights are worth nothing, or not what they seem; empty: they are."""
    both = replace(
        loaded,
        overworked=trained.overworked,
        batch_dependent=trained.batch_dependent or loaded.batch_dependent,
    )
    return judged(both, images).reason


def _failure(row: Attempt, found: Evaluation, what: str) -> str:
    reason = visible(found.reason or found.verdict.for_people)
    return f"{row.attempt_id} did not {what}: {found.verdict}, {reason}"


def _told(job: Job, loaded: Evaluation, images: ImageData, epochs: int) -> list[tuple[str, str]]:
    """Return what has to be known to use the weights, and how good they are."""
    recipe = job.recipe
    size = recipe.image_size
    mean, std = (tuple(round(x / 255, 6) for x in each) for each in images.channel_statistics())
    return [
        (
            "trained",
            f"{epochs} epoch{'s'[: epochs > 1]} in the jail, seed {job.seed}: "
            f"{percent(loaded.proxy_accuracy)} on the validation split,"
            f" {percent(loaded.test_accuracy)} on the test split, after loading them anew",
        ),
        (
            "net",
            f"Net({(recipe.batch, images.channels, size, size)}, ({images.num_classes},), prm,"
            f" device) with prm {json.dumps(recipe.hyperparameters())}",
        ),
        (
            "images",
            f"{size} x {size}, scaled to [0, 1]"
            + (f", less mean {mean}, over deviation {std}" if recipe.scaling == "norm" else ""),
        ),
    ]
