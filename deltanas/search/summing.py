"""The summary of a run from what its file holds, whenever it is asked for."""

from __future__ import annotations

from pathlib import Path

from deltanas.config.schema import Config
from deltanas.records import Run, Stage, Summary, resume_line
from deltanas.report.metrics import run_summary


def summary_of(config: Config, held: Run, run_id: str) -> Summary:
    """Return the figures of a run that was made with a configuration, finished or not."""
    return run_summary(
        held,
        run_id=run_id,
        llm=config.writer(),
        dataset=config.dataset.name,
        archive=config.archive.name,
        protocol=config.protocol.name,
        ablation=config.ablation,
        seed=config.seed,
        wall_seconds=held.meta.get("wall_seconds"),
        seconds={
            Stage.start: held.meta.get("seconds_start"),
            Stage.confirm: held.meta.get("seconds_confirm"),
            Stage.study: held.meta.get("seconds_study"),
        },
        mends=config.repair.turns > 0,
    )


def unfinished(directory: Path) -> str:
    """Return what the page of a run that broke off says of it."""
    return f"This run is not finished: {resume_line(directory)} goes on with it."
