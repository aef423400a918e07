"""Names of the jobs of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from deltanas.cli.titles import first_line, job_title
from deltanas.config.compose import CONF, from_hydra, register


def job(
    folder: Path, asked: list[str], given: list[str], sweeper: str, params: object
) -> DictConfig:
    """Return what Hydra tells a job of a sweep."""
    (folder / "sweep").mkdir()
    OmegaConf.save({"hydra": {"overrides": {"task": asked}}}, folder / "sweep/multirun.yaml")
    return OmegaConf.create(
        {
            "job": {"num": 1},
            "overrides": {"task": given},
            "runtime": {"cwd": str(folder)},
            "sweep": {"dir": "sweep"},
            "sweeper": {"_target_": sweeper, "params": params},
        }
    )


BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
OTHER = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"


@pytest.mark.parametrize(
    ("asked", "given", "sweeper", "params", "title"),
    [
        (
            ["ablation=none,no_lora", "seed=range(1,3)", "protocol.cycles=1"],
            ["ablation=none", "seed=2", "protocol.cycles=1"],
            BASIC,
            None,
            "job 2 of 4: ablation=none seed=2",
        ),
        (
            ["seed=1,2", "seed=5", "lora.r=4,8"],
            ["seed=5", "lora.r=8"],
            BASIC,
            {},
            "job 2 of 2: lora.r=8",
        ),
        (["tracker=glob(*)"], ["tracker=wandb"], BASIC, {}, "job 2 of 2: tracker=wandb"),
        (
            ["llm.name='a,b',c"],
            ["seed=7", "llm.name=c"],
            BASIC,
            {"seed": "7,8,9"},
            "job 2 of 6: seed=7 llm.name=c",
        ),
        (["seed=1"], ["seed=1"], BASIC, None, "job 2: seed=1"),
        (["seed=1,2"], ["seed=2"], OTHER, None, "job 2: seed=2"),
    ],
)
def test_a_job_is_called_by_what_it_varies(
    asked: list[str],
    given: list[str],
    sweeper: str,
    params: object,
    title: str,
    tmp_path: Path,
) -> None:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert job_title(job(tmp_path, asked, given, sweeper, params)) == title


@pytest.mark.parametrize(
    ("title", "head", "tail"),
    [
        (None, "deltanas: 4 cycles x 12 candidates, llm=tiny dataset=digits", "seed=7"),
        ("job 2 of 4: seed=7 lora.r=8", "deltanas, job 2 of 4: 4 cycles x", "seed=7 lora.r=8"),
    ],
)
def test_the_first_line_names_the_job_and_what_it_searches_with(
    title: str | None, head: str, tail: str
) -> None:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        line = first_line(from_hydra(compose("config", overrides=["seed=7"])), title)
    assert line.startswith(head)
    assert line.endswith(f" archive=builtin ablation=none {tail}")
