"""What a run and the jobs of a sweep are called: `job 2 of 4: ablation=none seed=1`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from deltanas.config.schema import Config

_COUNTED = "BasicSweeper"  # Hydra's own, which takes every combination; others choose as they go


def first_line(config: Config, title: str | None = None) -> str:
    """Return what a run says before it loads anything; `title` is that of a job of a sweep."""
    settings = [
        f"llm={config.writer()}",
        f"dataset={config.dataset.name}",
        f"archive={config.archive.name}",
        f"ablation={config.ablation}",
        f"seed={config.seed}",
    ]
    job, _, varied = (title or "").partition(": ")
    settings += [word for word in varied.split() if word not in settings]
    budget = f"{config.protocol.cycles} cycles x {config.protocol.candidates} candidates"
    return f"deltanas{f', {job}' if job else ''}: {budget}, {' '.join(settings)}"


def job_title(job: Any) -> str:
    """Return the name of a job, from what Hydra tells of it: its number, and what it varies.

    How many jobs there are is left out where the sweeper alone knows.
    """
    swept = _swept(job)
    words = list(job.overrides.task)
    varied = [word for word in words if word.partition("=")[0] in swept] or words
    many = f" of {math.prod(swept.values())}" if swept else ""
    return f"job {job.job.num + 1}{many}: {' '.join(varied)}"


def _swept(job: Any) -> dict[str, int]:
    """Return how many values each swept setting has; none where another sweeper chooses."""
    if not str(job.sweeper.get("_target_")).endswith(_COUNTED):
        return {}
    sweep = OmegaConf.load(Path(job.runtime.cwd, job.sweep.dir, "multirun.yaml"))
    words = [f"{key}={value}" for key, value in (job.sweeper.params or {}).items()]
    loader = GlobalHydra.instance().config_loader()
    asked = OverridesParser.create(config_loader=loader).parse_overrides(
        [*words, *sweep.hydra.overrides.task]
    )
    values = {  # of a setting that is given twice, the last counts
        override.get_key_element(): [*override.sweep_string_iterator()]
        if override.is_sweep_override()
        else []
        for override in asked
    }
    return {key: len(found) for key, found in values.items() if found}
