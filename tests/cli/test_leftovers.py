"""What a start leaves of its directory where no run began in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from deltanas.cli.leftovers import Leftovers, left_as_found
from deltanas.config.ranges import ConfigError
from deltanas.record.store import RunStore


def seen(directory: Path) -> Path:
    """Let Hydra announce a run, and write as it does."""
    Leftovers().on_run_start(OmegaConf.create({"hydra": {"run": {"dir": str(directory)}}}))
    (directory / ".hydra").mkdir(parents=True, exist_ok=True)
    for name in ("config", "hydra", "overrides"):
        (directory / f".hydra/{name}.yaml").write_text("new")
    return directory


def refuse(directory: Path) -> None:
    def start() -> None:
        with left_as_found(directory):
            RunStore(directory / "run.sqlite").close()
            raise ConfigError("refused")

    with pytest.raises(ConfigError, match="refused"):
        start()


def test_a_refused_start_leaves_nothing_not_even_the_folders_above(tmp_path: Path) -> None:
    refuse(seen(tmp_path / "runs/one"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays_with_what_was_in_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "filled/.hydra").mkdir(parents=True)
    (tmp_path / "filled/.hydra/notes").touch()
    for name in ("empty", "filled"):
        refuse(seen(tmp_path / name))
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert found == {"empty", "filled", "filled/.hydra", "filled/.hydra/notes"}


def test_a_folder_with_more_in_it_stays_as_it_is(tmp_path: Path) -> None:
    directory = seen(tmp_path / "run")
    (directory / "adapters").mkdir()
    (directory / "adapters/weights").touch()
    refuse(directory)
    assert {path.name for path in directory.iterdir()} >= {".hydra", "adapters", "run.sqlite"}


def test_a_run_that_began_stays(tmp_path: Path) -> None:
    directory = seen(tmp_path / "run")
    with left_as_found(directory), RunStore(directory / "run.sqlite") as store:
        store.set_meta("config", {})
    assert (directory / "run.sqlite").is_file()
    assert (directory / ".hydra/config.yaml").read_text() == "new"


def test_the_command_of_a_run_that_is_there_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "run/.hydra").mkdir(parents=True)
    (tmp_path / "run/.hydra/overrides.yaml").write_text("old")
    with RunStore(tmp_path / "run/run.sqlite") as store:
        store.set_meta("config", {})
    refuse(seen(tmp_path / "run"))
    assert (tmp_path / "run/.hydra/overrides.yaml").read_text() == "old"


def test_hydra_announces_the_run_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("new/run", "there"):
        command = [sys.executable, "-m", "deltanas", f"hydra.run.dir={tmp_path / name}", "seed=-1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 2
        assert "seed=-1 is out of range" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]
