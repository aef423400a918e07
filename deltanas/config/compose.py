"""From Hydra's node to a checked configuration, and where the YAML files lie."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from deltanas.config.choices import (
    ArchiveName,
    Corpus,
    Device,
    Generation,
    Objective,
    ProposerKind,
    TrainerLoop,
)
from deltanas.config.ranges import ConfigError, faults_of
from deltanas.config.schema import Config, ImageSetConfig
from deltanas.records import Precision

# a checkout has conf/ beside the package, a wheel has it inside
CONF = next(
    path
    for path in (Path(__file__).parents[1] / "conf", Path(__file__).parents[2] / "conf")
    if path.is_dir()
)


def check(config: Config) -> None:
    """Raise ConfigError naming every value out of its range, with what was found and must hold."""
    faults = list(faults_of(config))
    if config.dataset.members and config.dataset.image_size != ImageSetConfig.image_size:
        faults.append("dataset.image_size is set, but each member of the dataset has its own")
    faults += _faults_of_own(config)
    own = config.trainer.loop is TrainerLoop.own
    if own and config.trainer.precision is not Precision.float32:
        faults.append(
            f"trainer.precision={config.trainer.precision} is for trainer.loop=trusted; a network"
            " that trains itself chooses its own, so it must be float32"
        )
    if own and config.executor.device is not Device.cpu:
        faults.append(
            f"executor.device={config.executor.device} is for trainer.loop=trusted; what a network"
            " that trains itself may take is told by its CPU time, so it must be cpu"
        )
    faults += _faults_of_writing(config)
    if config.llm.top_k == 1 and (config.llm.redraws or not config.llm.replacement):
        faults.append(
            "llm.top_k=1 leaves a single reply to a prompt; for llm.replacement=false and for"
            " llm.redraws it must be at least 2"
        )
    if config.lora.enabled and config.proposer.name is ProposerKind.llm:
        faults += _tune_faults(config)
    if faults:
        raise ConfigError("\n".join(faults))


def _faults_of_own(config: Config) -> Iterator[str]:
    """Yield one sentence for what images and networks of the user's own lack."""
    limit = config.archive.max_image_size
    members = {f"members.{name}.": one for name, one in config.dataset.members.items()}
    for prefix, one in {"": config.dataset, **members}.items():
        if one.channels != ImageSetConfig.channels and not one.class_folders:
            yield (
                f"dataset.{prefix}channels={one.channels} is for class folders (dataset=folder);"
                f" {one.name} has its own, so leave it out"
            )
    for one in config.dataset.sets():
        if not one.class_folders:
            continue
        if one.root is None:
            yield "dataset.root has no value; it must be given: dataset.root=DIR, of classes"
        if one.channels == 2:
            yield "dataset.channels=2 is out of range; it must be 1, for grey images, or 3"
        if one.image_size > limit:
            yield (
                f"dataset.image_size={one.image_size} is more than archive.max_image_size={limit},"
                " up to which networks train; set both"
            )
    if config.archive.name is ArchiveName.folder and config.archive.path is None:
        yield "archive.path has no value; it must be given: archive.path=DIR, with the networks"


def _tune_faults(config: Config) -> Iterator[str]:
    """Yield one sentence for whatever of `tune` does not go together, or with the rest."""
    tune, corpus = config.tune, config.lora.corpus
    named = f"tune.objective={tune.objective}"
    if tune.objective in (Objective.dpo, Objective.grpo):
        least = tune.siblings * max(2, len(config.dataset.sets()))
        if tune.siblings < 2:
            yield (
                f"tune.siblings={tune.siblings} leaves every answer without another to its prompt,"
                f" and {named} compares such; it must be at least 2"
            )
        elif config.protocol.candidates < least:
            yield (
                f"protocol.candidates={config.protocol.candidates} is too few for {named}; with"
                f" tune.siblings={tune.siblings} it must be at least {least}: a group for every"
                " data set, and one that is held out"
            )
        if config.prompt.examples:
            yield (
                f"prompt.examples={config.prompt.examples} gives every sibling a prompt of its"
                f" own, and {named} compares answers to one; it must be 0"
            )
    if tune.objective in (Objective.dpo, Objective.kto) and not tune.beta:
        yield f"tune.beta=0 leaves {named} without a gradient; it must be above 0"
    if tune.real_share and corpus is not Corpus.cumulative:
        yield (
            f"tune.real_share={tune.real_share:g} mixes pairs of LEMUR with the run's own, and"
            f" lora.corpus={corpus} has one kind only; set lora.corpus=cumulative, which needs"
            " archive=lemur, or tune.real_share=0"
        )
    elif tune.objective is not Objective.sft and corpus is not Corpus.own and not tune.real_share:
        yield (
            f"lora.corpus={corpus} takes pairs from LEMUR, and {named} compares answers of the"
            " run; set lora.corpus=own, or cumulative with a tune.real_share"
        )


def _faults_of_writing(config: Config) -> Iterator[str]:
    """Yield one sentence for every option of writing that the others leave no room for."""
    turns, examples, kind = config.repair.turns, config.prompt.examples, config.proposer.name
    if turns and kind is not ProposerKind.llm:
        yield f"repair.turns={turns} asks an LLM again, but proposer={kind} asks none"
    elif turns and not config.llm.repair_prompt:
        yield f"repair.turns={turns} needs llm.repair_prompt, which llm={config.llm.name} lacks"
    if examples and kind is not ProposerKind.llm:
        yield f"prompt.examples={examples} is for an LLM, but proposer={kind} reads no prompt"
    elif examples and "examples" not in Template(config.template()).get_identifiers():
        yield (
            f"prompt.examples={examples} has no place in the prompt of llm={config.llm.name};"
            " its template must hold $examples"
        )
    if config.generation is Generation.full:
        used = {"repair.turns": turns, "proposer.operators": config.proposer.operators}
        for key in filter(used.get, used):
            yield f"{key}={used[key]} works on deltas, but generation=full asks for networks"


def register() -> None:
    """Make the schema and our resolvers known to Hydra; calling it again does no harm."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("settings", _settings, replace=True)
    OmegaConf.register_new_resolver(
        "unique", lambda: uuid.uuid4().hex[:6], replace=True, use_cache=True
    )


def _settings(*, _root_: Any) -> str:
    """Return every setting as the help shows it, for Hydra's template."""
    from deltanas.config.described import overview

    return overview(_root_).replace("$", "$$")


def from_hydra(node: Any, folder: Path | None = None) -> Config:
    """Return the checked configuration. Raises ConfigError.

    Relative paths start from `folder`, where the command was typed; None: the current one.
    """
    config = OmegaConf.to_object(node)
    if not isinstance(config, Config):
        raise TypeError(f"the configuration is a {type(config).__name__}; it must be a Config")
    check(config)
    _settle_paths(config, folder or Path.cwd())
    return config


def _settle_paths(config: Config, folder: Path) -> None:
    """Make paths absolute, so that a run may be resumed from another folder."""
    for one in (config.dataset, *config.dataset.members.values()):
        one.root = str(folder / Path(one.root).expanduser()) if one.root else None
    if config.archive.path:
        config.archive.path = str(folder / Path(config.archive.path).expanduser())
    if config.llm.model != "embedded" and (folder / config.llm.model).exists():
        config.llm.model = str(folder / config.llm.model)
