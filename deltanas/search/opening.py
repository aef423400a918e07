"""Opens every room for one search, as the configuration says, and closes them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanas.archive.base import Archive
from deltanas.archive.lemur import LemurArchive
from deltanas.config.choices import ArchiveName, Corpus, ProposerKind
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config
from deltanas.evaluate.executor import Executor
from deltanas.evaluate.images.image_data import ImageData, Split
from deltanas.propose.proposer import Proposer
from deltanas.record.store import RunStore
from deltanas.records import Baseline
from deltanas.report.console import CycleProgress, say
from deltanas.report.remaining import asked_of
from deltanas.report.tracker import Tracker
from deltanas.search.asking import Asking
from deltanas.search.candidates import Candidates, Thresholds
from deltanas.search.confirm import Confirm
from deltanas.search.corpus import static_corpus
from deltanas.search.describing import (
    announce,
    describe,
    describe_machine,
    describe_rooms,
    settings_of,
    show,
)
from deltanas.search.fresh_seeds import FreshSeeds
from deltanas.search.graphs import Tracing
from deltanas.search.guarding import Watch
from deltanas.search.journal import Journal, RunJournal
from deltanas.search.lessons import Lessons
from deltanas.search.loop import Search
from deltanas.search.memory import Memory
from deltanas.search.needs import llm_needs
from deltanas.search.newness import check_novelty, novelty_definition, novelty_index
from deltanas.search.own import OWN, checked_own
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
from deltanas.tune.tuner import Tuner

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
    journal: Callable[[RunStore], Journal] | None = None,
    own: Mapping[str, Any] | None = None,
) -> Iterator[Opened]:
    """Yield the search of a configuration, with everything that it needs.

    `title` says what a new run is called, in place of its directory's name.
    A `replayed` proposer stands for the configured one, which is then not loaded, nor tuned; `own`
    is what the run that is replayed had of the user's own.
    What cannot work is refused before the first attempt, with a UserError.
    """
    _check_corpus(config)
    if not replayed:
        _say_needs(config, directory, console)
    with ExitStack() as stack:
        archive = open_archive(config)
        pools, left_out = open_pools(archive, config)
        data = {one.name: open_images(one, config.seed, console) for one in config.dataset.sets()}
        store = stack.enter_context(RunStore(directory / "run.sqlite"))
        plain = settings_of(config, store, directory)
        found = checked_own(own or store.meta(OWN), config, data, pools)
        check_novelty(store, config, directory)
        executor = stack.enter_context(open_executor(config, data))
        with console.status(f"loading {config.writer()}"):
            proposer, tuner, llm = (replayed, None, None) if replayed else open_proposer(config)
            fit = fitting(pools, proposer)
        tracker = open_tracker(config, directory, console)
        progress = CycleProgress(console, asked_of(plain))
        pairs = _static_pairs(config, archive, fit, tuner, progress)
        describe(store, directory.name, title or directory.name, plain, found)
        store.set_meta("novelty", novelty_definition(config))
        describe_rooms(store, data, pools, fit, left_out)
        describe_machine(store, executor, llm)
        announce(console, config, archive.name, pools, fit, executor, left_out)
        lessons = Lessons(config=config, directory=directory, tuner=tuner, pairs=pairs)
        search = assembled(
            config=config,
            thresholds=_thresholds(config, data),
            pools=fit,
            proposer=proposer,
            lessons=lessons,
            executor=executor,
            journal=journal(store) if journal else RunJournal(store, tracker.log_row),
            progress=progress,
        )
        confirm = Confirm(
            config=config, store=store, fresh=search.race.fresh, memory=search.memory
        )
        study = Study(config=config, store=store, executor=executor, stages=search.stages)
        show(tracker, store, plain)  # last: from here on it is the caller's to finish
        yield Opened(
            search=search, confirm=confirm, study=study,
            store=store, tracker=tracker, progress=progress,
        )  # fmt: skip


def _say_needs(config: Config, directory: Path, console: Console) -> None:
    """Say what a configured LLM that is not embedded takes."""
    if config.proposer.name is ProposerKind.llm and config.llm.model != "embedded":
        say(console, llm_needs(config, directory))


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
    races = config.confirm.race > 0
    memory = Memory(pools=pools, novelty=novelty_index(config), races=races)
    stages = Stages(bars=progress)
    if config.tune.guard:
        lessons.watch = Watch(config=config, proposer=proposer, memory=memory)
    lessons.fresh = memory.fresh
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
        asking=Asking(
            config=config, proposer=proposer, memory=memory, journal=journal, stages=stages
        ),
        candidates=candidates,
        tracing=Tracing(config=config, executor=executor, memory=memory, stages=stages),
        executor=executor,
        race=Race(
            config=config, candidates=candidates, fresh=fresh, memory=memory, journal=journal
        ),
        lessons=lessons,
        memory=memory,
        journal=journal,
        stages=stages,
    )


def _static_pairs(
    config: Config,
    archive: Archive,
    pools: dict[str, list[Baseline]],
    tuner: Tuner | None,
    progress: CycleProgress,
) -> list[Pair]:
    """Return the archive's pairs that the LLM is tuned on; none where it learns its own only."""
    own = config.lora.corpus is Corpus.own
    if tuner is None or own or not isinstance(archive, LemurArchive):
        return []
    with progress:
        return static_corpus(config, archive, pools, tuner, progress)


def _thresholds(config: Config, data: Mapping[str, ImageData]) -> dict[str, Thresholds]:
    return {
        one.name: Thresholds(
            majority_rate=data[one.name].majority_rate(Split.VAL),
            gate=config.dataset.gate_of(one),
        )
        for one in config.dataset.sets()
    }


def _check_corpus(config: Config) -> None:
    if not config.lora.enabled or config.lora.corpus is Corpus.own:
        return
    if config.proposer.name is ProposerKind.llm and config.archive.name is not ArchiveName.lemur:
        raise ConfigError(
            f"lora.corpus={config.lora.corpus} takes pairs from LEMUR, but archive="
            f"{config.archive.name}; set archive=lemur or lora.corpus=own"
        )
