"""What a run's file tells of itself besides its rows, and what the terminal says at its start."""

from __future__ import annotations

import platform
import sys
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deltanas.config.choices import ArchiveName
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config
from deltanas.evaluate.executor import Executor
from deltanas.evaluate.images.image_data import ImageData, Split
from deltanas.record.store import RunStore
from deltanas.records import Baseline, resume_line
from deltanas.report.console import say
from deltanas.report.formats import visible
from deltanas.report.tracker import Tracker
from deltanas.search.machine import commit, machine
from deltanas.search.own import OWN

if TYPE_CHECKING:
    from rich.console import Console

PACKAGES = (  # whose versions a run records
    *("deltanas", "torch", "lightning", "transformers", "peft"),
    *("llguidance", "wandb", "datasketch"),
)


def settings_of(config: Config, store: RunStore, directory: Path) -> dict[str, Any]:
    """Return the configuration as plain values, which must be those of the run, if any.

    Settings that came later than the run have the value that stands for how it was before.
    """
    plain = plain_settings(config)
    held = store.meta("config")
    if held is not None and not are_settings_of(held, plain):
        raise ConfigError(
            f"{directory} holds a run of another configuration; {resume_line(directory)} goes on"
            " with that one, and hydra.run.dir names another directory for a new one"
        )
    return plain


def plain_settings(config: Config) -> dict[str, Any]:
    """Return the configuration as plain values."""
    plain: Any = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    return dict(plain)


def are_settings_of(held: Mapping[str, Any], plain: Mapping[str, Any]) -> bool:
    """Tell whether a run's settings, with the defaults of those that it lacks, are these."""
    try:
        known = OmegaConf.merge(OmegaConf.structured(Config), held)
    except OmegaConfBaseException:
        return False  # some of them are gone
    return OmegaConf.to_container(known, enum_to_str=True) == plain


def describe(
    store: RunStore, run_id: str, title: str, config: Any, own: Mapping[str, Any]
) -> None:
    """Store what identifies a new run: title, settings, command, and what is the user's `own`."""
    if store.meta("run_id") is not None:
        return  # a run that goes on
    store.set_meta("title", title)
    store.set_meta("tracker_id", uuid.uuid4().hex)
    store.set_meta("config", config)
    store.set_meta("command", sys.argv[1:])
    composed = HydraConfig.initialized()  # of a job in a sweep, the command holds those of all
    store.set_meta("overrides", list(HydraConfig.get().overrides.task) if composed else None)
    store.set_meta(OWN, own)
    store.set_meta("began", now())
    store.set_meta("run_id", run_id)  # last: all of it is there where this is


def now() -> str:
    """Return date and time of day, in UTC and to the second."""
    return datetime.now(UTC).isoformat(sep=" ", timespec="seconds")


def show(tracker: Tracker, store: RunStore, config: Mapping[str, Any]) -> None:
    """Open the tracker under the id and the name that the run has, wherever it lies now.

    A run of an earlier version was shown under its own id.
    """
    run_id = store.meta("run_id")
    tracker.start(
        store.meta("tracker_id") or run_id,
        store.meta("title") or run_id,
        config,
        store.attempts(),
    )


def describe_machine(store: RunStore, executor: Executor, llm: dict[str, Any] | None) -> None:
    """Store what a run is made with: versions, jail, LLM, machine and commit.

    Where a run goes on with anything else, what is different is added to `resumed`, and what it
    began with stays.
    """
    found: dict[str, Any] = {
        "versions": {"python": platform.python_version()} | {n: version(n) for n in PACKAGES},
        "jail": asdict(executor.jailings()[0]),
        "llm": llm,
        "machine": machine(),
        "commit": commit(),
    }
    if store.meta("versions") is None:
        for key, value in found.items():
            store.set_meta(key, value)
        return
    other = {key: value for key, value in found.items() if store.meta(key) != value}
    if other:
        store.set_meta("resumed", [*(store.meta("resumed") or ()), other])


def describe_rooms(
    store: RunStore,
    data: Mapping[str, ImageData],
    pools: Mapping[str, list[Baseline]],
    fit: Mapping[str, list[Baseline]],
    left_out: Mapping[str, int],
) -> None:
    """Store what a reader of the run, or a replay without its LLM, cannot find out."""
    unfit = {
        name: sorted({b.baseline_id for b in pool} - {b.baseline_id for b in fit[name]})
        for name, pool in pools.items()
    }
    known, used = (sum(map(len, each.values())) for each in (pools, fit))
    rates = {
        name: {split: one.majority_rate(split) for split in Split} for name, one in data.items()
    }
    store.set_meta("unfit", unfit)
    store.set_meta("majority_rate", rates)
    store.set_meta("left_out", left_out)
    store.set_meta("baselines", {"used": used, "left_out": known - used})


def announce(
    console: Console,
    config: Config,
    archive: str,
    pools: Mapping[str, list[Baseline]],
    fit: Mapping[str, list[Baseline]],
    executor: Executor,
    left_out: Mapping[str, int],
) -> None:
    """Print what is searched on, and behind which walls."""
    known, used = (sum(map(len, each.values())) for each in (pools, fit))
    say(console, f"{used:,} of {known:,} baselines of archive={archive} fit {config.writer()}")
    attempts = config.protocol.cycles * config.protocol.candidates
    for name in ("sample", "best"):
        if (asked := getattr(config.confirm, name)) > attempts:
            say(
                console,
                f"confirm.{name}={asked} is more than the {attempts} attempts of this run; what"
                " they find is confirmed, and the intervals are wider",
            )
    for jailing in executor.jailings():
        say(console, str(jailing))
    if config.archive.name is ArchiveName.folder:
        for sentence in left_out:
            say(console, f"left out of the archive: {visible(sentence)}")
    elif left_out:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        say(console, f"left out of the archive: {counts}")
