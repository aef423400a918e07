"""One builder for each Protocol, as the configuration says."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanas.archive.base import Archive
from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.archive.folder_archive import FolderArchive
from deltanas.archive.lemur import LemurArchive
from deltanas.config.choices import (
    ArchiveName,
    Decoding,
    Generation,
    Objective,
    ParentChoice,
    ProposerKind,
    TrackerName,
)
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config, ImageSetConfig
from deltanas.evaluate.executor import ExecutorPerSet, LocalExecutor
from deltanas.evaluate.images.image_data import ImageData, ImageSet
from deltanas.propose.mixed import MixedProposer
from deltanas.propose.proposer import LLMProposer, Proposer, RandomEditProposer
from deltanas.records import Baseline
from deltanas.report.console import TaskProgress, say
from deltanas.report.tracker import NullTracker, Tracker
from deltanas.report.wandb_tracker import WandbTracker
from deltanas.screen.policy import PolicyError, check_network
from deltanas.search.parents import Aging, Balanced, Bandit, Selector, Strength, Tournament
from deltanas.tune.tuner import Tuner

if TYPE_CHECKING:
    from rich.console import Console

    from deltanas.llm.local import TransformersLLM
    from deltanas.tune.objectives.base import Objective as TuneObjective
    from deltanas.tune.training import LoraSettings


def open_archive(config: Config) -> Archive:
    """Return where baselines come from. Raises ArchiveError where it is not there."""
    path = Path(config.archive.path) if config.archive.path else None
    own = config.dataset.own_sizes()
    match config.archive.name:
        case ArchiveName.lemur:
            return LemurArchive(path)
        case ArchiveName.folder:
            return FolderArchive(path or Path(), own, _fault)
        case ArchiveName.builtin:
            return BuiltinArchive(own)


def _fault(code: str) -> str | None:
    """Return why a network may not train, before anything runs."""
    try:
        check_network(code)
    except PolicyError as error:
        return str(error)
    return None


def open_pools(
    archive: Archive, config: Config
) -> tuple[dict[str, list[Baseline]], dict[str, int]]:
    """Return the baselines of every dataset, and how many networks each reason left out."""
    pools: dict[str, list[Baseline]] = {}
    counts: dict[str, int] = {}
    for one in config.dataset.sets():
        asked: Any = {
            "dataset": one.name,
            "max_image_size": config.archive.max_image_size,
            "max_lines": config.archive.max_lines,
        }
        pools[one.name] = list(archive.baselines(**asked))
        for reason, count in archive.left_out(**asked).items():
            if count:
                counts[reason] = counts.get(reason, 0) + count
    return pools, counts


def fitting(
    pools: Mapping[str, Sequence[Baseline]], proposer: Proposer
) -> dict[str, list[Baseline]]:
    """Return the baselines that the proposer can take whole; nothing is ever truncated.

    Raises ConfigError where none of a dataset's fits.
    """
    fit = {
        dataset: [baseline for baseline in pool if proposer.fits(baseline, dataset)]
        for dataset, pool in pools.items()
    }
    for dataset, pool in pools.items():
        if not fit[dataset]:
            raise ConfigError(
                f"none of {len(pool)} baselines fits; prompt and answer (llm.max_new_tokens) must"
                " fit llm.context, or archive.max_lines must be lower"
            )
    return fit


def open_images(one: ImageSetConfig, seed: int, console: Console) -> ImageData:
    """Return one image set, decoded where that was not done before. Raises DatasetError."""
    described = ImageSet(
        name=one.name,
        seed=seed,
        image_size=one.image_size,
        root=one.root,
        channels=one.channels if one.class_folders else None,
    )
    with TaskProgress(console) as progress:
        return described.load(progress)


def open_executor(config: Config, data: Mapping[str, ImageData]) -> ExecutorPerSet:
    """Return the executor of some image sets by name. Raises JailError where there is no jail."""
    limits = config.protocol

    def start(images: ImageData) -> LocalExecutor:
        return LocalExecutor(
            images,
            device=config.executor.device,
            workers=config.executor.workers,
            threads_per_worker=config.executor.threads,
            jail=config.executor.jail,
            timeout_s=limits.timeout_s,
            memory_gb=limits.memory_gb,
            max_parameters=limits.max_parameters,
            max_macs=limits.max_macs,
        )

    return ExecutorPerSet(data, start)


def open_llm(config: Config) -> TransformersLLM:
    """Load the LLM. Raises LLMError where it cannot be used so, OSError where there is none."""
    from deltanas.llm.local import TransformersLLM

    llm = config.llm
    return TransformersLLM(
        llm.model,
        dtype=llm.dtype,
        device=llm.device,
        context=llm.context,
        max_new_tokens=config.new_tokens(),
        temperature=llm.temperature,
        top_k=llm.top_k,
        top_p=llm.top_p,
        batch=llm.batch,
        quantization=llm.quantization,
        stop=llm.stop,
    )


def open_proposer(config: Config) -> tuple[Proposer, Tuner | None, dict[str, Any] | None]:
    """Return who writes deltas, what teaches it (None: nothing) and what identifies its LLM."""
    if config.proposer.name is ProposerKind.random_edit:
        return _mixed(config, RandomEditProposer()), None, None
    llm = open_llm(config)
    whole = config.generation is Generation.full
    proposer = LLMProposer(
        llm,
        template=config.template(),
        locked=config.decoding is Decoding.locked and not whole,
        lock_names=config.llm.lock_names,
        repair_template=config.llm.repair_prompt if config.repair.turns else "",
        examples=config.prompt.examples,
        replacement=config.llm.replacement,
    )
    described = llm.describe()
    if not config.lora.enabled:
        return _mixed(config, proposer), None, described
    tuner = llm.tuner(lambda network, tokenizer: _tuner(config, network, tokenizer))
    return _mixed(config, proposer), tuner, described


def _mixed(config: Config, main: Proposer) -> Proposer:
    """Return the proposer, which leaves a share of the slots to operators where one is set."""
    share = config.proposer.operators
    return MixedProposer(main, share=share) if share else main


def lora_settings(config: Config) -> LoraSettings:
    """Return how an adapter is trained."""
    from deltanas.tune.training import LoraSettings

    lora = config.lora
    return LoraSettings(
        r=lora.r,
        alpha=lora.alpha,
        dropout=lora.dropout,
        targets=tuple(config.llm.lora_targets),
        lr=lora.lr,
        weight_decay=lora.weight_decay,
        epochs=lora.epochs,
        batch=lora.batch,
        accumulate=lora.accumulate,
    )


def open_objective(config: Config) -> TuneObjective:
    """Return what the LLM is tuned for."""
    from deltanas.tune.objectives.dpo import Dpo
    from deltanas.tune.objectives.grpo import Grpo
    from deltanas.tune.objectives.kto import Kto
    from deltanas.tune.objectives.sft import Sft

    tune = config.tune
    match tune.objective:
        case Objective.dpo:
            return Dpo(beta=tune.beta, margin=tune.margin)
        case Objective.grpo:
            return Grpo(beta=tune.beta, margin=tune.margin)
        case Objective.kto:
            return Kto(beta=tune.beta, margin=tune.margin)
        case Objective.sft:
            return Sft()


def _tuner(config: Config, network: Any, tokenizer: Any) -> Tuner:
    from deltanas.tune.lora import LoraTuner

    return LoraTuner(
        network,
        tokenizer,
        lora_settings(config),
        open_objective(config),
        max_tokens=config.llm.context,
        seed=config.seed,
        gradient_checkpointing=config.llm.checkpointing,
    )


def open_selector(config: Config, strength: Strength) -> Selector:
    """Return what chooses parents on a data set, on which `strength` is known."""
    match config.parents:
        case ParentChoice.balanced:
            return Balanced()
        case ParentChoice.tournament:
            return Tournament(strength)
        case ParentChoice.bandit:
            return Bandit(strength)
        case ParentChoice.aging:
            return Aging(strength)


def open_tracker(config: Config, directory: Path, console: Console) -> Tracker:
    """Return where the run is shown besides its directory."""
    tracker = config.tracker
    if tracker.name is TrackerName.none or os.environ.get("WANDB_MODE") == "disabled":
        return NullTracker()
    return WandbTracker(
        project=tracker.project,
        directory=directory,
        entity=tracker.entity,
        group=tracker.group,
        mode=tracker.mode,
        tags=(config.llm.name, config.dataset.name, config.ablation),
        say=lambda line: say(console, line),
    )
