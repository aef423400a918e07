"""Opens every room for one search, as the configuration says, and closes them all."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from rich.console import Console

from deltanas.archive.base import Archive
from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.archive.lemur import LemurArchive
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config, Corpus, Decoding, Generation, ProposerKind
from deltanas.evaluate.images.image_data import SPLITS
from deltanas.propose.proposer import LLMProposer, Proposer, RandomEditProposer
from deltanas.record.store import RunStore
from deltanas.records import Baseline
from deltanas.report.console import CycleProgress
from deltanas.report.tracker import NullTracker, Tracker, WandbTracker
from deltanas.screen.novelty import NoveltyIndex
from deltanas.search.corpus import static_corpus
from deltanas.search.lessons import Lessons
from deltanas.search.loop import Search
from deltanas.search.needs import llm_needs, open_llm
from deltanas.search.parts import open_executor, open_images
from deltanas.tune.curation import Pair

if TYPE_CHECKING:
    from deltanas.tune.lora import LoraTuner

PACKAGES = ("deltanas", "torch", "lightning", "transformers", "peft", "llguidance", "wandb")


@contextmanager
def opened(
    config: Config, directory: Path, console: Console, replayed: Proposer | None = None
) -> Iterator[Search]:
    """Yield the search of a configuration, with everything that it needs.

    A `replayed` proposer stands for the configured one, which is then not loaded, nor tuned.
    What cannot work is refused before the first attempt: ConfigError, or the error of its room.
    """
    if not replayed and config.proposer is ProposerKind.llm and config.llm.model != "embedded":
        _say(console, llm_needs(config, directory))
    if config.lora.enabled and config.lora.corpus is not Corpus.own:
        _check_corpus(config)
    with ExitStack() as stack:
        archive = _archive(config)
        pools, left_out = _pools(archive, config)
        data = {one.name: open_images(one, config.seed, console) for one in config.dataset.sets()}
        store = stack.enter_context(RunStore(directory / "run.sqlite"))
        plain = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
        if store.meta("config") not in (None, plain):
            raise ConfigError(
                f"{directory} holds a run of another configuration; resume={directory} goes on"
                " with that one, and hydra.run.dir names another directory for a new one"
            )
        executor = stack.enter_context(open_executor(config, data))
        with console.status(f"loading {config.writer()}"):
            proposer, tuner = (replayed, None) if replayed else _proposer(config)
            fitting = {name: _fitting(name, pool, proposer) for name, pool in pools.items()}
        tracker = _tracker(config, directory, console)
        progress = CycleProgress(console, config.protocol.cycles)
        pairs = _static_pairs(config, archive, fitting, tuner, progress)
        _describe(store, directory.name, plain)
        store.set_meta(
            "unfit",  # by dataset, which a replay without the LLM cannot find out
            {
                name: sorted(
                    {b.baseline_id for b in pool} - {b.baseline_id for b in fitting[name]}
                )
                for name, pool in pools.items()
            },
        )
        known, used = (sum(map(len, each.values())) for each in (pools, fitting))
        store.set_meta("left_out", left_out)
        store.set_meta(
            "majority_rate",
            {
                name: {split: one.majority_rate(split) for split in SPLITS}
                for name, one in data.items()
            },
        )
        store.set_meta("jail", asdict(executor.jailing))
        store.set_meta("baselines", {"used": used, "left_out": known - used})
        _say(
            console,
            f"deltanas: {config.protocol.cycles} cycles x {config.protocol.candidates} candidates,"
            f" llm={config.writer()} dataset={config.dataset.name} archive={archive.name}"
            f" ({used} of {known} baselines fit) ablation={config.ablation}",
        )
        _say(console, str(executor.jailing))
        if left_out:
            counts = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
            _say(console, f"left out of the archive: {counts}")
        tracker.start(directory.name, plain)  # type: ignore[arg-type]
        yield Search(
            config=config,
            data=data,
            gates={one.name: config.dataset.gate_of(one) for one in config.dataset.sets()},
            pools=fitting,
            proposer=proposer,
            lessons=Lessons(config=config, directory=directory, tuner=tuner, pairs=pairs),
            executor=executor,
            store=store,
            tracker=tracker,
            progress=progress,
            novelty=NoveltyIndex(
                permutations=config.novelty.permutations,
                shingle=config.novelty.shingle,
                threshold=config.novelty.threshold,
            ),
        )


def _check_corpus(config: Config) -> None:
    if config.proposer is ProposerKind.llm and config.archive.name != "lemur":
        raise ConfigError(
            f"lora.corpus={config.lora.corpus.value} takes pairs from LEMUR, but archive="
            f"{config.archive.name}; set archive=lemur or lora.corpus=own"
        )


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _archive(config: Config) -> Archive:
    if config.archive.name == "lemur":
        return LemurArchive(Path(config.archive.path) if config.archive.path else None)
    return BuiltinArchive()


def _pools(archive: Archive, config: Config) -> tuple[dict[str, list[Baseline]], dict[str, int]]:
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


def _fitting(dataset: str, pool: Sequence[Baseline], proposer: Proposer) -> list[Baseline]:
    """Return the baselines that the proposer can take whole; nothing is ever truncated."""
    fitting = [baseline for baseline in pool if proposer.fits(baseline, dataset)]
    if not fitting:
        raise ConfigError(
            f"none of {len(pool)} baselines fits; prompt and answer (llm.max_new_tokens) must fit"
            " llm.context, or archive.max_lines must be lower"
        )
    return fitting


def _proposer(config: Config) -> tuple[Proposer, LoraTuner | None]:
    from deltanas.tune.lora import LoraSettings, LoraTuner

    if config.proposer is ProposerKind.random_edit:
        return RandomEditProposer(), None
    llm = open_llm(config)
    whole = config.generation is Generation.full
    proposer = LLMProposer(
        llm,
        template=config.template(),
        locked=config.decoding is Decoding.locked and not whole,
        lock_names=config.llm.lock_names,
    )
    if not config.lora.enabled:
        return proposer, None
    lora = config.lora
    settings = LoraSettings(
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
    return proposer, LoraTuner(
        llm.network,
        llm.tokenizer,
        settings,
        max_tokens=config.llm.context,
        seed=config.seed,
        gradient_checkpointing=config.llm.checkpointing,
    )


def _static_pairs(
    config: Config,
    archive: Archive,
    pools: Mapping[str, list[Baseline]],
    tuner: LoraTuner | None,
    progress: CycleProgress,
) -> list[Pair]:
    if tuner is None or not isinstance(archive, LemurArchive) or config.lora.corpus is Corpus.own:
        return []
    with progress:
        return static_corpus(config, archive, pools, tuner, progress)


def _tracker(config: Config, directory: Path, console: Console) -> Tracker:
    tracker = config.tracker
    if tracker.name == "none":
        return NullTracker()
    return WandbTracker(
        project=tracker.project,
        directory=directory,
        entity=tracker.entity,
        group=tracker.group,
        mode="online" if tracker.mode == "online" else "offline",
        tags=(config.llm.name, config.dataset.name, config.ablation),
        say=lambda line: _say(console, line),
    )


def _describe(store: RunStore, run_id: str, config: Any) -> None:
    if store.meta("run_id") is not None:
        return  # a run that goes on
    store.set_meta("run_id", run_id)
    store.set_meta("config", config)
    store.set_meta("command", sys.argv[1:])
    store.set_meta(
        "versions",
        {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    )
