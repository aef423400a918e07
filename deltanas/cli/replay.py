"""`deltanas-replay`: do a run again from its recorded replies, and report what has changed.

Gates, selection and training are the search's own and run again, without any LLM; RUN_DIR stays
as it is. What was confirmed after the search, and finalists, are not trained again unless --study
asks for it, as that takes long. A difference marked `limit` met a limit of time or memory and may
be honest; every row after the first difference may follow from it. The exit code is 0 where all is
alike, 1 for differences, 2 for a run that cannot be replayed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanas.cli.exits import DIFFERENT, ending
from deltanas.record.store import RunStore, RunStoreError
from deltanas.records import Purpose, Run

if TYPE_CHECKING:
    from rich.console import Console

    from deltanas.config.schema import Config
    from deltanas.propose.recorded import RecordedProposer

NAME = "run.sqlite"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 for differences, 2 for what cannot be used, 130 for Ctrl-C."""

    def run() -> int:
        options = parser().parse_args(arguments)
        return _replay(options.directory, options.study)

    return ending("deltanas-replay", run)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="deltanas-replay",
        description=__doc__,
        epilog="example:\n  deltanas-replay runs/2026-11-25_20-39-11_6b1b51",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("directory", type=Path, metavar="RUN_DIR", help="what a search wrote")
    made.add_argument(
        "--study",
        action="store_true",
        help="train what was confirmed and the finalists again, too",
    )
    return made


def _replay(directory: Path, study: bool) -> int:
    """Replay a run, print how it went, and return the exit code: whether everything was alike."""
    from deltanas.cli.terminal import PIPED_WIDTH, terminal
    from deltanas.config.ranges import ConfigError

    if not (directory / NAME).is_file():
        raise ConfigError(f"{directory} holds no {NAME}; RUN_DIR must be the directory of a run")
    with tempfile.TemporaryDirectory(prefix="deltanas-replay-") as name:
        folder = Path(name)
        (folder / "recorded").mkdir()
        for path in directory.glob(f"{NAME}*"):  # SQLite leaves files beside those it reads
            shutil.copyfile(path, folder / "recorded" / path.name)
        try:
            with RunStore(folder / "recorded" / NAME, read_only=True) as store:
                recorded = store.read()
                config = _config(recorded, directory)
                proposer = _proposer(recorded, config, directory)
        except RunStoreError as error:  # it names the copy
            message = str(error).replace(str(folder / "recorded"), str(directory))
            raise RunStoreError(message) from error
        console = terminal(piped_width=PIPED_WIDTH)
        replayed = _again(config, proposer, recorded, folder, study, console)
    return 0 if _compare(recorded, replayed, study, console) else DIFFERENT


def _config(recorded: Run, directory: Path) -> Config:
    """Return the run's configuration, without tracker and tuning, for the cycles that it made."""
    from omegaconf import OmegaConf

    from deltanas.config.choices import TrackerName
    from deltanas.config.compose import from_hydra
    from deltanas.config.ranges import ConfigError
    from deltanas.config.schema import Config

    node = recorded.meta.get("config")
    if node is None or not recorded.attempts:
        raise ConfigError(f"{directory} holds no attempts; there is nothing to replay")
    config = from_hydra(OmegaConf.merge(OmegaConf.structured(Config), node))
    config.protocol.cycles = max(row.cycle for row in recorded.attempts) + 1
    config.lora.enabled = False
    config.tracker.name = TrackerName.none
    return config


def _proposer(recorded: Run, config: Config, directory: Path) -> RecordedProposer:
    from deltanas.config.ranges import ConfigError
    from deltanas.propose.recorded import RecordedProposer

    unfit: dict[str, Any] | None = recorded.meta.get("unfit")
    if unfit is None and recorded.meta["baselines"]["left_out"]:
        raise ConfigError(
            f"{directory} does not tell which baselines did not fit the LLM, as it was made by an"
            " earlier version; it cannot be replayed"
        )
    return RecordedProposer(
        unfit={
            one.name: frozenset((unfit or {}).get(one.name, ())) for one in config.dataset.sets()
        },
        parents=frozenset((row.dataset, row.parent_id) for row in recorded.attempts),
    )


def _again(
    config: Config,
    proposer: RecordedProposer,
    recorded: Run,
    folder: Path,
    study: bool,
    console: Console,
) -> Run:
    """Search and, where asked for, study once more, in a folder of its own; return the rows."""
    from deltanas.cli.titles import first_line
    from deltanas.report.console import say
    from deltanas.search.journal import ReplayJournal
    from deltanas.search.judging import proposal_of
    from deltanas.search.opening import opened
    from deltanas.search.own import OWN

    say(console, first_line(config))
    replies = {row.attempt_id: proposal_of(row) for row in recorded.attempts}
    with opened(
        config,
        folder,
        console,
        replayed=proposer,
        journal=lambda store: ReplayJournal(store, replies),
        own=recorded.meta.get(OWN),
    ) as run:
        with run.progress:
            for _ in run.search.cycles():
                pass
            if study:
                run.confirm.run()
                run.study.run()
        return run.store.read()


def _compare(recorded: Run, replayed: Run, study: bool, console: Console) -> bool:
    """Print what differs and how many rows are alike; tell whether all are."""
    from deltanas.report.differences import (
        differences_of_attempts,
        differences_of_baselines,
        differences_of_finalists,
        differences_of_retrainings,
        print_differences,
    )

    if not study:
        races = [again for again in recorded.retrainings if again.purpose is Purpose.RACE]
        recorded = replace(recorded, retrainings=tuple(races))
    found = {"baselines": differences_of_baselines(recorded.baselines, replayed.baselines)}
    if recorded.retrainings:
        found["retrainings"] = differences_of_retrainings(
            recorded.retrainings, replayed.retrainings
        )
    found["attempts"] = differences_of_attempts(recorded.attempts, replayed.attempts)
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
