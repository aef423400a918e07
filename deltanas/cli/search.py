"""`deltanas`: run a search, or go on with one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from deltanas.cli.environment import prepare
from deltanas.cli.leftovers import left_as_found
from deltanas.cli.streams import emit
from deltanas.cli.titles import first_line, job_title
from deltanas.config.compose import from_hydra
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config

_HELP = frozenset({"--help", "-h", "--hydra-help"})


def program(arguments: Sequence[str], composed: Callable[[], object]) -> None:
    """Do what the command line asks for; `composed` lets Hydra read it and call `start`."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing its own traceback
    prepare()
    if list(arguments) == ["--version"]:  # else it is Hydra's that is said
        emit(f"deltanas {version('deltanas')}\n")
        return
    if not _HELP.isdisjoint(arguments):
        _share_registered_configs()
    resumed = [word for word in arguments if word.startswith("resume=")]
    if not resumed:
        composed()
    elif len(arguments) == 1:
        resume(Path(resumed[0].removeprefix("resume=")).absolute())
    else:
        raise ConfigError(
            f"{resumed[0]} stands alone: a run goes on with the configuration it began with"
        )


def _share_registered_configs() -> None:
    """Let Hydra read its one store of configs where its help would copy it for every group.

    The copies are two thirds of the time that help takes (findings/hydra_help_copies.sh); Hydra
    copies each config again when it reads it.
    """
    ConfigStore.__deepcopy__ = lambda store, memo: store  # type: ignore[attr-defined]


def start(node: Any) -> None:
    """Run the search that Hydra composed, in the directory that it chose."""
    job = HydraConfig.get()
    directory, title = Path(job.runtime.output_dir), None
    with left_as_found(directory):
        config = from_hydra(node, Path(job.runtime.cwd))  # hydra.job.chdir may have left it
        if job.mode is RunMode.MULTIRUN:
            title = job_title(job)
            config.tracker.group = config.tracker.group or Path(job.sweep.dir).name
        if _is_finished(directory, config):
            _say_finished(directory)
        else:
            _search(config, directory, title)


def resume(directory: Path) -> None:
    """Go on with a run from what its directory holds, configured as it began."""
    from deltanas.record.store import RunStore, RunStoreError

    try:
        with RunStore(directory / "run.sqlite", read_only=True) as store:
            node, finished = store.meta("config"), store.meta("finished")
    except RunStoreError as error:
        raise ConfigError(f"resume={directory}: {error}") from error
    if node is None:
        raise ConfigError(f"resume={directory}: the run broke off before it began; start it anew")
    if finished:
        _say_finished(directory)
        return
    _search(from_hydra(OmegaConf.merge(OmegaConf.structured(Config), node)), directory)


def _is_finished(directory: Path, config: Config) -> bool:
    """Tell whether a directory holds the finished run of a configuration."""
    from deltanas.record.store import RunStore

    if not (directory / "run.sqlite").is_file():
        return False
    with RunStore(directory / "run.sqlite", read_only=True) as store:
        finished, held = store.meta("finished"), store.meta("config")
    if not finished:
        return False
    from deltanas.search.describing import are_settings_of, plain_settings

    return are_settings_of(held, plain_settings(config))


def _say_finished(directory: Path) -> None:
    emit(f"finished already; deltanas-report shows it again\n{directory}\n")


def _search(config: Config, directory: Path, title: str | None = None) -> None:
    began = time.perf_counter()
    from deltanas.cli.terminal import terminal
    from deltanas.report.console import say

    console = terminal()
    say(console, first_line(config, title))
    with console.status("starting"):  # what follows loads torch
        from deltanas.search.run import run_search

    run_search(config, directory, console, began=began, title=title)
