"""What libraries read when they load is set before they do, and never over the user's."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from deltanas.cli.environment import CALM, ensure, prepare
from deltanas.cli.search import program
from deltanas.evaluate.worker import environment

ROOT = Path(__file__).parents[2]


def test_programs_set_what_the_user_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    prepare()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    prepare()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_script_starts_anew_once_with_its_arguments(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\nfrom deltanas.cli.environment import ensure\n"
        "print(os.environ.get('OMP_WAIT_POLICY'), sys.argv[1:], flush=True)\n"
        "ensure()\nprint('on')\n"
    )
    bare = {name: value for name, value in os.environ.items() if name not in CALM}
    found = subprocess.run(
        [sys.executable, script, "--rounds", "3"],
        env=bare | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert found.splitlines() == ["None ['--rounds', '3']", "PASSIVE ['--rounds', '3']", "on"]


def test_a_worker_is_calm_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment(1).items() >= CALM.items()
    for name, value in CALM.items():
        monkeypatch.setenv(name, value)
    ensure()  # returns


@pytest.mark.parametrize("folder", ["benchmarks", "experiments"])
def test_no_script_sets_it_by_itself(folder: str) -> None:
    own = [path.name for path in (ROOT / folder).rglob("*.py") if "OMP_WAIT" in path.read_text()]
    assert own == []


def test_help_shares_the_registered_configs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra's help copies its store for every group, which is most of its time."""
    store = ConfigStore.instance()
    monkeypatch.setattr(ConfigStore, "__deepcopy__", None, raising=False)  # put back at the end
    program(["seed=1"], lambda: None)
    assert ConfigStore.__deepcopy__ is None
    program(["seed=1", "--help"], lambda: None)
    assert copy.deepcopy(store) is store
