"""Opens every room for one search, as the configuration says, and closes them all."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deltanas.archive.lemur import LemurArchive
from deltanas.config.choices import ArchiveName, Corpus, ProposerKind
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config
from deltanas.evaluate.executor import Executor
from deltanas.evaluate.images.image_data import SPLITS, ImageData
from deltanas.propose.proposer import Proposer
from deltanas.record.store import RunStore
from deltanas.records import Baseline
from deltanas.report.console import CycleProgress, say
from deltanas.report.tracker import Tracker
from deltanas.search.candidates import Candidates, Thresholds
from deltanas.search.corpus import static_corpus
from deltanas.search.journal import Journal, RunJournal
from deltanas.search.lessons import Lessons
from deltanas.search.loop import Search
from deltanas.search.memory import Memory
from deltanas.search.needs import llm_needs
from deltanas.search.newness import check_novelty, novelty_definition, novelty_index
from deltanas.search.parts import (
    fitting,
    open_archive,
    open_executor,
    open_images,
    open_pools,
    open_proposer,
    open_selector,
    open_tracker,
)
from deltanas.search.slots import Slots
from deltanas.search.stages import Bars, Stages
from deltanas.search.study import Study
from deltanas.tune.curation import Pair

if TYPE_CHECKING:
    from rich.console import Console

PACKAGES = (  # whose versions a run records
    *("deltanas", "torch", "lightning", "transformers", "peft"),
    *("llguidance", "wandb", "datasketch"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A search with everything that it needs, and the rooms that look at it."""

    search: Search
    study: Study
    store: RunStore
    tracker: Tracker
    progress: CycleProgress


@contextmanager
def opened(
    config: Config,
    directory: Path,
    console: Console,
    *,
    replayed: Proposer | None = None,
    journal: Callable[[RunStore], Journal] = RunJournal,
) -> Iterator[Opened]:
    """Yield the search of a configuration, with everything that it needs.

    A `replayed` proposer stands for the configured one, which is then not loaded, nor tuned.
    What cannot work is refused before the first attempt, with a UserError.
    """
    _check_corpus(config)
    if not replayed and config.proposer is ProposerKind.llm and config.llm.model != "embedded":
        say(console, llm_needs(config, directory))
    with ExitStack() as stack:
        archive = open_archive(config)
        pools, left_out = open_pools(archive, config)
        data = {one.name: open_images(one, config.seed, console) for one in config.dataset.sets()}
        store = stack.enter_context(RunStore(directory / "run.sqlite"))
        plain = _plain(config, store, directory)
        check_novelty(store, config, directory)
        executor = stack.enter_context(open_executor(config, data))
        with console.status(f"loading {config.writer()}"):
            proposer, tuner, llm = (replayed, None, None) if replayed else open_proposer(config)
            fit = fitting(pools, proposer)
        tracker = open_tracker(config, directory, console)
        progress = CycleProgress(console, config.protocol.cycles)
        pairs: list[Pair] = []
        if tuner and isinstance(archive, LemurArchive) and config.lora.corpus is not Corpus.own:
            with progress:
                pairs = static_corpus(config, archive, fit, tuner, progress)
        _describe(store, directory.name, plain)
        store.set_meta("novelty", novelty_definition(config))
        _describe_rooms(store, data, executor, pools, fit)
        store.set_meta("left_out", left_out)
        store.set_meta("llm", llm)
        _announce(console, config, archive.name, pools, fit, executor, left_out)
        lessons = Lessons(config=config, directory=directory, tuner=tuner, pairs=pairs)
        thresholds = {
            one.name: Thresholds(
                majority_rate=data[one.name].majority_rate("val"), gate=config.dataset.gate_of(one)
            )
            for one in config.dataset.sets()
        }
        search = assembled(
            config=config,
            thresholds=thresholds,
            pools=fit,
            proposer=proposer,
            lessons=lessons,
            executor=executor,
            journal=journal(store),
            progress=progress,
        )
        study = Study(config=config, store=store, executor=executor, stages=search.stages)
        tracker.start(directory.name, plain)  # last: from here on it is the caller's to finish
        yield Opened(search=search, study=study, store=store, tracker=tracker, progress=progress)


def assembled(
    *,
    config: Config,
    thresholds: Mapping[str, Thresholds],
    pools: dict[str, list[Baseline]],
    proposer: Proposer,
    lessons: Lessons,
    executor: Executor,
    journal: Journal,
    progress: Bars,
) -> Search:
    """Return the search over these parts; thresholds and pools are by dataset."""
    memory = Memory(pools=pools, novelty=novelty_index(config))
    stages = Stages(bars=progress)
    slots = Slots(
        config=config,
        selectors={name: open_selector() for name in pools},
        proposer=proposer,
        executor=executor,
        memory=memory,
        journal=journal,
        stages=stages,
    )
    return Search(
        config=config,
        slots=slots,
        proposer=proposer,
        candidates=Candidates(
            config=config, thresholds=thresholds, proposer=proposer, memory=memory
        ),
        executor=executor,
        lessons=lessons,
        memory=memory,
        journal=journal,
        stages=stages,
    )


def _check_corpus(config: Config) -> None:
    if not config.lora.enabled or config.lora.corpus is Corpus.own:
        return
    if config.proposer is ProposerKind.llm and config.archive.name is not ArchiveName.lemur:
        raise ConfigError(
            f"lora.corpus={config.lora.corpus} takes pairs from LEMUR, but archive="
            f"{config.archive.name}; set archive=lemur or lora.corpus=own"
        )


def _plain(config: Config, store: RunStore, directory: Path) -> dict[str, Any]:
    """Return the configuration as plain values, which must be those of the run, if any.

    Settings that came later than the run have the value that stands for how it was before.
    """
    plain: Any = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    held = store.meta("config")
    if held is not None and _completed(held) != plain:
        raise ConfigError(
            f"{directory} holds a run of another configuration; resume={directory} goes on"
            " with that one, and hydra.run.dir names another directory for a new one"
        )
    return dict(plain)


def _completed(held: dict[str, Any]) -> Any:
    """Return a run's settings with the defaults of those that it lacks; None if some are gone."""
    try:
        known = OmegaConf.merge(OmegaConf.structured(Config), held)
    except OmegaConfBaseException:
        return None
    return OmegaConf.to_container(known, enum_to_str=True)


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


def _describe_rooms(
    store: RunStore,
    data: Mapping[str, ImageData],
    executor: Executor,
    pools: Mapping[str, list[Baseline]],
    fit: Mapping[str, list[Baseline]],
) -> None:
    """Store what a reader of the run, or a replay without its LLM, cannot find out."""
    unfit = {
        name: sorted({b.baseline_id for b in pool} - {b.baseline_id for b in fit[name]})
        for name, pool in pools.items()
    }
    known, used = (sum(map(len, each.values())) for each in (pools, fit))
    rates = {
        name: {split: one.majority_rate(split) for split in SPLITS} for name, one in data.items()
    }
    store.set_meta("unfit", unfit)
    store.set_meta("majority_rate", rates)
    store.set_meta("jail", asdict(executor.jailings()[0]))
    store.set_meta("baselines", {"used": used, "left_out": known - used})


def _announce(
    console: Console,
    config: Config,
    archive: str,
    pools: Mapping[str, list[Baseline]],
    fit: Mapping[str, list[Baseline]],
    executor: Executor,
    left_out: Mapping[str, int],
) -> None:
    """Print what is searched on, with what, behind which walls."""
    known, used = (sum(map(len, each.values())) for each in (pools, fit))
    say(
        console,
        f"deltanas: {config.protocol.cycles} cycles x {config.protocol.candidates} candidates,"
        f" llm={config.writer()} dataset={config.dataset.name} archive={archive}"
        f" ({used} of {known} baselines fit) ablation={config.ablation}",
    )
    for jailing in executor.jailings():
        say(console, str(jailing))
    if left_out:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        say(console, f"left out of the archive: {counts}")
