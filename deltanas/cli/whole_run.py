"""One run, whole: its rows and what it tells of itself, or one sentence why there are none."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deltanas.cli.run_folders import STORE, RunFolderError, find_runs, is_finished, is_run
from deltanas.config.compose import from_hydra
from deltanas.config.schema import Config, DatasetConfig, ImageSetConfig
from deltanas.record.lock import is_being_written
from deltanas.record.store import RunStore
from deltanas.records import Run, Summary
from deltanas.search.summing import summary_of, unfinished


def run_directory(path: Path) -> Path:
    """Return the directory of the run that a path names, by its directory or its file.

    Raises RunFolderError where there is none, or where there are several.
    """
    directory = path.parent if path.name == STORE and path.is_file() else path
    if not directory.is_dir() or not is_run(directory):
        found = find_runs([directory])  # raises where there is none
        raise RunFolderError(
            f"{path} holds {len(found)} run{'s'[: len(found) > 1]}; name one, such as {found[0]}"
        )
    return directory


def read_whole(path: Path, *, while_written: bool = False) -> tuple[Path, Run]:
    """Return a run's directory and all that its file holds.

    Raises UserError where there is no run or it cannot be read, and, unless `while_written`, where
    a process is still writing it.
    """
    directory = run_directory(path)
    store = directory / STORE
    if not while_written and is_being_written(store):
        raise RunFolderError(f"{directory} is being written by a process; wait for its end")
    if not store.is_file():
        raise RunFolderError(f"{directory} holds no {STORE}: the run broke off before it began")
    if not store.stat().st_size:
        raise RunFolderError(f"{store} is empty: the run broke off before it began")
    with RunStore(store, read_only=True) as opened:
        return directory, opened.read()


def figures_of(directory: Path, run: Run) -> tuple[Summary, str]:
    """Return the figures that a run comes to by now, and a sentence on its state.

    That is empty for a finished run. Raises RunFolderError for a run whose configuration is not
    there or is not known to this version.
    """
    settings = run.meta.get("config")
    if settings is None:
        raise RunFolderError(f"{directory} holds no configuration: the run ended before it began")
    config: Any = OmegaConf.to_object(_merged(run))
    if is_being_written(directory / STORE):
        note = "This run is being written: what follows is what there is so far."
    elif is_finished(run.meta.get("finished"), settings, len(run.cycles)):
        note = ""
    else:
        note = unfinished(directory)
    run_id = run.meta.get("run_id") or directory.resolve().name
    return summary_of(config, run, run_id), note


def config_of(run: Run, dataset: str) -> Config:
    """Return the configuration of a run, for one of its image sets. Raises RunFolderError."""
    config = from_hydra(_merged(run))
    found = [one for one in config.dataset.sets() if one.name == dataset]
    if len(found) != 1:
        raise RunFolderError(f"the run's configuration has no image set {dataset}")
    (one,) = found
    own = {each.name: getattr(one, each.name) for each in fields(ImageSetConfig)}
    return replace(config, dataset=DatasetConfig(**own))


def _merged(run: Run) -> Any:
    """Return the settings of a run over the defaults, as OmegaConf has them."""
    try:
        return OmegaConf.merge(OmegaConf.structured(Config), run.meta.get("config") or {})
    except OmegaConfBaseException as error:
        raise RunFolderError(
            f"the run was made with settings that this version does not have: {error}"
        ) from error
