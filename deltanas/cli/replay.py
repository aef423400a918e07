"""`deltanas-replay`: do a run again from its recorded replies, and report what has changed.

Gates, selection and training are the search's own and run again, without any LLM; RUN_DIR stays
as it is. Finalists are not trained again unless --study asks for it, as that takes long. A
difference marked `limit` met a limit of time or memory and may be honest; every row after the
first difference may follow from it. The exit code is 0 where all is alike, 1 for differences, 2
for a run that cannot be replayed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanas.records import Attempt, Finalist, derive_seed

if TYPE_CHECKING:
    from rich.console import Console

    from deltanas.config.schema import Config
    from deltanas.propose.recorded import RecordedProposer
    from deltanas.record.store import RunStore, UsedBaseline

DIFFERENT = 1  # exit code where something does not replay alike
REFUSED = 2  # exit code where the input cannot be used
INTERRUPTED = 130
NAME = "run.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """The rows of a run."""

    attempts: list[Attempt]
    baselines: list[UsedBaseline]
    finalists: list[Finalist]
    repeats: list[Finalist]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 for differences, 2 for what cannot be used, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="deltanas-replay",
        description=__doc__,
        epilog="example:\n  deltanas-replay runs/2026-11-25_20-39-11_6b1b51",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, metavar="RUN_DIR", help="what a search wrote")
    parser.add_argument("--study", action="store_true", help="train the finalists again, too")
    options = parser.parse_args(arguments)
    from omegaconf.errors import OmegaConfBaseException
    from rich.console import Console

    from deltanas.archive.base import ArchiveError
    from deltanas.config.ranges import ConfigError
    from deltanas.evaluate import DatasetError, JailError, SickMachineError, ZygoteError
    from deltanas.record.store import RunStoreError

    refusals = (ArchiveError, ConfigError, DatasetError, JailError, RunStoreError)
    machine = (SickMachineError, ZygoteError)
    try:
        alike = _replay(options.directory, options.study, Console())
    except (*refusals, *machine, OmegaConfBaseException) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0 if alike else DIFFERENT


def _refuse(message: str) -> int:
    sys.stderr.write(f"deltanas-replay: {'; '.join(message.splitlines())}\n")
    return REFUSED


def _replay(directory: Path, study: bool, console: Console) -> bool:
    """Replay a run, print how it went, and tell whether everything was alike."""
    from deltanas.config.ranges import ConfigError
    from deltanas.record.store import RunStore, RunStoreError

    if not (directory / NAME).is_file():
        raise ConfigError(f"{directory} holds no {NAME}; RUN_DIR must be the directory of a run")
    with tempfile.TemporaryDirectory(prefix="deltanas-replay-") as name:
        folder = Path(name)
        (folder / "recorded").mkdir()
        for path in directory.glob(f"{NAME}*"):  # SQLite leaves files beside those it reads
            shutil.copyfile(path, folder / "recorded" / path.name)
        try:
            with RunStore(folder / "recorded" / NAME, read_only=True) as store:
                recorded = _rows(store)
                config = _config(store, recorded.attempts, directory)
                proposer = _proposer(store, config, recorded.attempts, directory)
        except RunStoreError as error:  # it names the copy
            message = str(error).replace(str(folder / "recorded"), str(directory))
            raise RunStoreError(message) from error
        replayed = _again(config, proposer, folder, study, console)
    return _compare(recorded, replayed, study, console)


def _rows(store: RunStore) -> _Run:
    return _Run(
        attempts=store.attempts(),
        baselines=store.baselines(),
        finalists=store.finalists(),
        repeats=store.repeats(),
    )


def _config(store: RunStore, attempts: Sequence[Attempt], directory: Path) -> Config:
    """Return the run's configuration, without tracker and tuning, for the cycles that it made."""
    from omegaconf import OmegaConf

    from deltanas.config.compose import from_hydra
    from deltanas.config.ranges import ConfigError
    from deltanas.config.schema import Config

    node = store.meta("config")
    if node is None or not attempts:
        raise ConfigError(f"{directory} holds no attempts; there is nothing to replay")
    config = from_hydra(OmegaConf.merge(OmegaConf.structured(Config), node))
    config.protocol.cycles = max(row.cycle for row in attempts) + 1
    config.lora.enabled = False
    config.tracker.name = "none"
    return config


def _proposer(
    store: RunStore, config: Config, attempts: Sequence[Attempt], directory: Path
) -> RecordedProposer:
    from deltanas.config.ranges import ConfigError
    from deltanas.propose.recorded import RecordedProposer
    from deltanas.search.judging import proposal_of

    unfit: dict[str, Any] | None = store.meta("unfit")
    if unfit is None and store.meta("baselines")["left_out"]:
        raise ConfigError(
            f"{directory} does not tell which baselines did not fit the LLM, as it was made by an"
            " earlier version; it cannot be replayed"
        )
    return RecordedProposer(
        {derive_seed(config.seed, row.cycle, row.slot): proposal_of(row) for row in attempts},
        unfit={
            one.name: frozenset((unfit or {}).get(one.name, ())) for one in config.dataset.sets()
        },
        parents=frozenset((row.dataset, row.parent_id) for row in attempts),
    )


def _again(
    config: Config, proposer: RecordedProposer, folder: Path, study: bool, console: Console
) -> _Run:
    """Search and, where asked for, study once more, in a folder of its own; return the rows."""
    from deltanas.config.ranges import ConfigError
    from deltanas.search.loop import SearchError
    from deltanas.search.opening import opened
    from deltanas.search.study import Study

    try:
        with opened(config, folder, console, proposer) as search, search.progress:
            for _ in search.cycles():
                pass
            if study:
                Study(
                    config=config,
                    store=search.store,
                    executor=search.executor,
                    progress=search.progress,
                ).run()
            return _rows(search.store)
    except SearchError as error:
        raise ConfigError(str(error)) from error


def _compare(recorded: _Run, replayed: _Run, study: bool, console: Console) -> bool:
    """Print what differs and how many rows are alike; tell whether all are."""
    from deltanas.report.differences import (
        differences_of_attempts,
        differences_of_baselines,
        differences_of_finalists,
        print_differences,
    )

    found = {
        "baselines": differences_of_baselines(recorded.baselines, replayed.baselines),
        "attempts": differences_of_attempts(recorded.attempts, replayed.attempts),
    }
    if study:
        found["finalists"] = differences_of_finalists(recorded.finalists, replayed.finalists)
        found["repeats"] = differences_of_finalists(recorded.repeats, replayed.repeats)
    everything = [difference for each in found.values() for difference in each]
    if everything:
        print_differences(everything, console)
    for kind, differences in found.items():
        rows = len(getattr(recorded, kind))
        alike = rows - len({difference.name for difference in differences})
        console.print(f"{alike} of {rows} {kind} replay alike", highlight=False)
    return not everything


if __name__ == "__main__":
    sys.exit(main())
