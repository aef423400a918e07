"""One network through the gates and the jail: what `deltanas-evaluate` and others share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from deltanas.records import SET_BY_DATASET, Evaluation, Job, Recipe

if TYPE_CHECKING:
    from rich.console import Console

    from deltanas.config.schema import Config
    from deltanas.evaluate import Executor, ImageData


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How one network is to be trained."""

    config: Config  # of one image set
    recipe: Recipe
    told_by: str  # where the recipe comes from, for people


def configured(overrides: Sequence[str], held: tuple[str, Recipe] | None = None) -> Trial:
    """Return how a network is trained: as the words say, else as it was where it comes from.

    `held` is that data set and recipe; on another data set, images are as usual there. Words
    `recipe.x=` always win. Raises RecipeError where `held` names no data set of ours and the words
    neither, ConfigError and Hydra's errors.
    """
    from deltanas.archive.builtin_archive import common_recipe
    from deltanas.config.recipe import recipe_from

    own = [word for word in overrides if word.startswith("recipe.")]
    shared = [word for word in overrides if word not in own]
    if held and not any(word.startswith("dataset=") for word in shared):
        shared.append(f"dataset={_known(held[0])}")
    config = _composed(shared)
    name = config.dataset.name
    limit, sizes = config.archive.max_image_size, config.dataset.own_sizes()
    common = common_recipe(name, limit, sizes)
    told_by = "most built-in networks"
    if held:
        told_by = "the file"
        kept = {key: getattr(common, key) for key in SET_BY_DATASET}
        common = held[1] if held[0] == name else replace(held[1], **kept)
    recipe = replace(common, **asdict(recipe_from(asdict(common), own)))
    return Trial(config=config, recipe=recipe, told_by=told_by)


def _known(name: str) -> str:
    """Return the name of a data set that a file tells, if there is such an option."""
    from deltanas.config.compose import CONF
    from deltanas.report.network_file import RecipeError

    options = sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))
    if name not in options:
        raise RecipeError(
            f"the recipe in its docstring is for the data set {name!r}, which must be one of"
            f" {', '.join(options)}; name another, or your images: dataset=folder dataset.root=DIR"
        )
    return name


def _composed(words: Sequence[str]) -> Config:
    """Return the configuration, which must name one image set."""
    from hydra import compose, initialize_config_dir

    from deltanas.config.compose import CONF, from_hydra, register
    from deltanas.config.ranges import ConfigError

    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = from_hydra(compose("config", overrides=list(words)))
    sets = config.dataset.sets()
    if len(sets) > 1:
        raise ConfigError(
            f"dataset={config.dataset.name} has {len(sets)} image sets; name one of them:"
            f" dataset={'|'.join(one.name for one in sets)}"
        )
    return config


def evaluated(
    code: str, trial: Trial, console: Console, *, epochs: int = 1
) -> tuple[Evaluation, str | None]:
    """Return what the screen or the jail found out, and the jail's tier where one was needed."""
    refused = screened(code)
    if refused:
        return refused, None
    with one_worker(trial, console) as (executor, images):
        (found,) = executor.map([job_of(code, trial, epochs)])
        tier = executor.jailings()[0].tier
    return judged(found, images), tier


def screened(code: str) -> Evaluation | None:
    """Return what the screen says against a network; None where it may be built."""
    from deltanas.screen.policy import PolicyError, check_network

    try:
        check_network(code)
    except PolicyError as error:
        return Evaluation(job_id="network", verdict=error.verdict, reason=str(error))
    return None


@contextmanager
def one_worker(trial: Trial, console: Console) -> Iterator[tuple[Executor, ImageData]]:
    """Open an executor with one worker for the image set of a trial."""
    from deltanas.search.parts import open_executor, open_images

    (one,) = trial.config.dataset.sets()
    config = replace(trial.config, executor=replace(trial.config.executor, workers=1))
    images = open_images(one, config.seed, console)
    with open_executor(config, {one.name: images}) as executor:
        yield executor, images


def job_of(code: str, trial: Trial, epochs: int) -> Job:
    """Return the job that trains a network as the trial says."""
    return Job(
        job_id="network",
        code=code,
        dataset=trial.config.dataset.sets()[0].name,
        recipe=trial.recipe,
        epochs=epochs,
        seed=trial.config.seed,
        **trial.config.trainer.options(),
    )


def judged(found: Evaluation, images: ImageData) -> Evaluation:
    """Return an evaluation with the reason, if any, why what it trained is worth nothing."""
    from deltanas.evaluate.images.image_data import Split
    from deltanas.search.judging import degenerate_reason

    why = degenerate_reason(found, images.majority_rate(Split.VAL))
    return replace(found, reason=found.reason or why)
