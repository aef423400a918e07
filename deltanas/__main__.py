"""`python -m deltanas`: reads the configuration, opens the rooms, runs one search."""

from __future__ import annotations

import errno
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deltanas.config.compose import CONF, from_hydra, register
from deltanas.config.overrides import explained
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config

if TYPE_CHECKING:
    from rich.console import Console

    from deltanas.search.loop import Search

INTERRUPTED = 130  # exit code of a run ended by Ctrl-C
REFUSED = 2  # exit code of a run whose input cannot be used

register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _run(node: DictConfig) -> None:
    config, job = from_hydra(node), HydraConfig.get()
    if job.mode is RunMode.MULTIRUN and config.tracker.group is None:
        config.tracker.group = Path(job.sweep.dir).name
    _search(config, Path(job.runtime.output_dir))


def _resume(directory: Path) -> None:
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
    """Run one search in its directory. Raises ConfigError for whatever makes that impossible."""
    began = time.perf_counter()
    from rich.console import Console

    from deltanas.archive.base import ArchiveError
    from deltanas.evaluate import DatasetError, JailError, SickMachineError, ZygoteError
    from deltanas.llm.loading import LLMError
    from deltanas.record.store import RunStoreError
    from deltanas.search.loop import SearchError
    from deltanas.search.opening import opened
    from deltanas.search.study import Study
    from deltanas.tune.rendering import TuningError

    refusals = (ArchiveError, DatasetError, JailError, LLMError, TuningError, ZygoteError)
    console = Console()
    interrupted = False
    try:
        with opened(config, directory, console) as search:
            store = search.store
            store.add_seconds("seconds_start", time.perf_counter() - began)
            began -= store.meta("wall_seconds") or 0.0
            try:
                with search.progress:
                    for _ in search.cycles():
                        store.set_meta("wall_seconds", time.perf_counter() - began)
                    Study(
                        config=config,
                        store=store,
                        executor=search.executor,
                        progress=search.progress,
                    ).run()
            except KeyboardInterrupt:
                interrupted = True
                search.executor.close()
                console.print("interrupted: writing the summary of what is there")
            store.set_meta("wall_seconds", time.perf_counter() - began)
            _conclude(search, directory, console)
            store.set_meta("finished", not interrupted)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigError(
            f"{error.filename or directory}: {error.strerror}; free some space, then"
            f" resume={directory} goes on"
        ) from error
    except SickMachineError as error:
        raise ConfigError(f"{error}; resume={directory} then goes on") from error
    except (*refusals, RunStoreError, SearchError) as error:
        raise ConfigError(str(error)) from error
    console.print(str(directory), soft_wrap=True, highlight=False)
    if interrupted:
        sys.exit(INTERRUPTED)


def _conclude(search: Search, directory: Path, console: Console) -> None:
    """Write summary, report and tracker from what the store holds, and print the table."""
    from deltanas.record.summary import write_summary
    from deltanas.report.console import print_summary
    from deltanas.report.metrics import cycles_of, run_summary
    from deltanas.report.run.page import write_report

    config, store = search.config, search.store
    cycles = cycles_of(store.cycles(), store.attempts())
    summary = run_summary(
        run_id=directory.name,
        llm=config.writer(),
        dataset=config.dataset.name,
        archive=config.archive.name,
        protocol=config.protocol.name,
        ablation=config.ablation,
        seed=config.seed,
        attempts=store.attempts(),
        cycles=cycles,
        finalists=store.finalists(),
        wall_seconds=store.meta("wall_seconds"),
        seconds_start=store.meta("seconds_start"),
        seconds_study=store.meta("seconds_study"),
    )
    write_summary(directory / "summary.json", summary)
    write_report(store, summary, directory / "report.html")
    search.tracker.log_candidates(store.attempts())
    search.tracker.finish(summary)
    print_summary(summary, cycles, console)


def main() -> None:
    """Run the program; input that cannot be used ends in one message without a traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing its own traceback
    # read when torch loads: threads that spin while another process has the core cost up to 88 x
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        if sys.argv[1:] == ["--version"]:  # else it is Hydra's that is said
            sys.stdout.write(f"deltanas {version('deltanas')}\n")
            return
        resumed = [word for word in sys.argv[1:] if word.startswith("resume=")]
        if not resumed:
            _run()
        elif len(sys.argv) == 2:
            _resume(Path(resumed[0].removeprefix("resume=")).absolute())
        else:
            raise ConfigError(
                f"{resumed[0]} stands alone: a run goes on with the configuration it began with"
            )
    except ConfigError as error:
        _refuse(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        _refuse(explained(error))
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _refuse(message: str) -> None:
    sys.stderr.write(f"deltanas: {message}\n")
    sys.exit(REFUSED)


if __name__ == "__main__":
    main()
