"""Opens every room for one search, as the configuration says, and closes them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deltanas.archive.lemur import LemurArchive
from deltanas.config.choices import ArchiveName, Corpus, ProposerKind
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config
from deltanas.evaluate.executor import Executor
from deltanas.propose.proposer import Proposer
from deltanas.record.store import RunStore
from deltanas.records import Baseline
from deltanas.report.console import CycleProgress, say
from deltanas.report.tracker import Tracker
from deltanas.screen.novelty import NoveltyIndex
from deltanas.search.candidates import Candidates, Thresholds
from deltanas.search.confirm import Confirm
from deltanas.search.corpus import static_corpus
from deltanas.search.describing import (
    announce,
    describe,
    describe_rooms,
    settings_of,
    shown_as,
)
from deltanas.search.fresh_seeds import FreshSeeds
from deltanas.search.journal import Journal, RunJournal
from deltanas.search.lessons import Lessons
from deltanas.search.loop import Search
from deltanas.search.memory import Memory
from deltanas.search.needs import llm_needs
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
from deltanas.search.race import Race
from deltanas.search.slots import Slots
from deltanas.search.stages import Bars, Stages
from deltanas.search.study import Study
from deltanas.tune.curation import Pair

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A search with everything that it needs, and the rooms that look at it."""

    search: Search
    confirm: Confirm
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
    title: str | None = None,
    replayed: Proposer | None = None,
    journal: Callable[[RunStore], Journal] = RunJournal,
) -> Iterator[Opened]:
    """Yield the search of a configuration, with everything that it needs.

    `title` says what a new run is called, in place of its directory's name.
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
        plain = settings_of(config, store, directory)
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
        describe(store, directory.name, title or directory.name, plain)
        store.set_meta("novelty", novelty_index(config).definition)
        describe_rooms(store, data, executor, pools, fit)
        store.set_meta("left_out", left_out)
        store.set_meta("llm", llm)
        announce(console, config, archive.name, pools, fit, executor, left_out)
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
        confirm = Confirm(
            config=config, store=store, fresh=search.race.fresh, memory=search.memory
        )
        study = Study(config=config, store=store, executor=executor, stages=search.stages)
        tracker.start(*shown_as(store), plain)  # last: from here on it is the caller's to finish
        yield Opened(
            search=search,
            confirm=confirm,
            study=study,
            store=store,
            tracker=tracker,
            progress=progress,
        )


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
        selectors={name: open_selector(config, partial(memory.strength, name)) for name in pools},
        proposer=proposer,
        executor=executor,
        memory=memory,
        journal=journal,
        stages=stages,
    )
    candidates = Candidates(config=config, thresholds=thresholds, proposer=proposer, memory=memory)
    fresh = FreshSeeds(config=config, executor=executor, journal=journal, stages=stages)
    return Search(
        config=config,
        slots=slots,
        proposer=proposer,
        candidates=candidates,
        executor=executor,
        race=Race(
            config=config, candidates=candidates, fresh=fresh, memory=memory, journal=journal
        ),
        lessons=lessons,
        memory=memory,
        journal=journal,
        stages=stages,
    )


def novelty_index(config: Config) -> NoveltyIndex:
    """Return an index without networks, as the configuration defines similarity."""
    return NoveltyIndex(
        permutations=config.novelty.permutations,
        shingle=config.novelty.shingle,
        threshold=config.novelty.threshold,
    )


def check_novelty(store: RunStore, config: Config, directory: Path) -> None:
    """Raise ConfigError where similarity meant another thing in the run, or may have."""
    ours = novelty_index(config).definition
    theirs = store.meta("novelty")
    if theirs is None and store.attempts():
        raise ConfigError(
            f"{directory} does not tell how it measured novelty, as an earlier version made it;"
            " it can be reported and replayed, but not gone on with"
        )
    if theirs is not None and theirs != ours:
        raise ConfigError(
            f"{directory} measured novelty as {theirs}, this program measures it as {ours};"
            " similarities do not compare, so the run cannot go on here"
        )


def _check_corpus(config: Config) -> None:
    if not config.lora.enabled or config.lora.corpus is Corpus.own:
        return
    if config.proposer is ProposerKind.llm and config.archive.name is not ArchiveName.lemur:
        raise ConfigError(
            f"lora.corpus={config.lora.corpus} takes pairs from LEMUR, but archive="
            f"{config.archive.name}; set archive=lemur or lora.corpus=own"
        )
