"""`deltanas`: run a search, or go on with one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from deltanas.config.compose import from_hydra
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config


def program(arguments: Sequence[str], composed: Callable[[], object]) -> None:
    """Do what the command line asks for; `composed` lets Hydra read it and call `start`."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing its own traceback
    # read when torch loads: threads that spin while another process has the core cost up to 88 x
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if list(arguments) == ["--version"]:  # else it is Hydra's that is said
        sys.stdout.write(f"deltanas {version('deltanas')}\n")
        return
    resumed = [word for word in arguments if word.startswith("resume=")]
    if not resumed:
        composed()
    elif len(arguments) == 1:
        resume(Path(resumed[0].removeprefix("resume=")).absolute())
    else:
        raise ConfigError(
            f"{resumed[0]} stands alone: a run goes on with the configuration it began with"
        )


def start(node: Any) -> None:
    """Run the search that Hydra composed, in the directory that it chose."""
    job = HydraConfig.get()
    config = from_hydra(node, Path(job.runtime.cwd))  # hydra.job.chdir may have left it
    if job.mode is RunMode.MULTIRUN and config.tracker.group is None:
        config.tracker.group = Path(job.sweep.dir).name
    _search(config, Path(job.runtime.output_dir))


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
        sys.stdout.write(f"finished already; deltanas-report shows it again\n{directory}\n")
        return
    _search(from_hydra(OmegaConf.merge(OmegaConf.structured(Config), node)), directory)


def _search(config: Config, directory: Path) -> None:
    began = time.perf_counter()
    from rich.console import Console

    from deltanas.search.run import run_search

    run_search(config, directory, Console(), began=began)
