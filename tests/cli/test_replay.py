"""A run replays from its rows without its LLM, and what was falsified is found."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from deltanas.cli.replay import main
from deltanas.cli.search import resume
from deltanas.record.store import RunStore
from tests.run_fixtures import make_older

pytestmark = pytest.mark.timeout(900)  # a search and two replays, on a machine that may be busy

SMALL = ("tracker=none", "protocol.cycles=2", "protocol.candidates=3", "protocol.finalists=0")
SMALL += ("confirm.sample=0", "confirm.best=0")


def search(directory: Path, *words: str) -> Path:
    command = [sys.executable, "-m", "deltanas", f"hydra.run.dir={directory}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def change(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / "run.sqlite")) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("replay") / "run"
    return search(directory, "ablation=random_edit", "confirm.race=2", *SMALL)


def test_a_run_replays_alike_and_stays_as_it_was(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(finished)
    assert main([str(finished)]) == 0
    assert contents(finished) == before
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == "6 of 6 attempts replay alike"
    raced = re.fullmatch(r"(\d+) of (\d+) retrainings replay alike", shown[-2])
    assert raced
    assert raced[1] == raced[2] != "0"
    assert any(line.startswith("cycle 1  ") for line in shown)


def make_old(run: Path) -> None:
    """Make a run one from before `proposer` was a group, and before some settings came."""
    with RunStore(run / "run.sqlite") as store:
        config = store.meta("config")
        name = config.pop("proposer")["name"]
        del config["repair"], config["prompt"], config["llm"]["repair_prompt"]
        store.set_meta("config", {**config, "proposer": name})
    make_older(run / "run.sqlite")


def test_a_run_from_before_the_group_proposer_goes_on(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    change(
        run,
        "DELETE FROM cycles WHERE cycle = 1",
        "DELETE FROM attempts WHERE attempt_id = 'c01-s001'",
        "UPDATE meta SET value = 'false' WHERE key = 'finished'",
    )
    make_old(run)
    resume(run)
    with RunStore(run / "run.sqlite") as store, RunStore(finished / "run.sqlite") as whole:
        codes = [[row.code for row in each.attempts()] for each in (store, whole)]
        assert codes[0] == codes[1]


def test_what_was_falsified_in_an_old_unfinished_run_is_found(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    change(
        run,
        "DELETE FROM cycles WHERE cycle = 1",
        "DELETE FROM attempts WHERE attempt_id = 'c01-s002'",
        "UPDATE attempts SET proxy_accuracy = 0.125 WHERE attempt_id = 'c00-s000'",
        "UPDATE attempts SET reply = 'no' WHERE attempt_id = 'c01-s001'",
    )
    make_old(run)
    assert main([str(run)]) == 1
    *shown, last = capsys.readouterr().out.splitlines()
    found = [line.split()[:3] for line in shown]
    assert ["c00-s000", "proxy_accuracy", "0.125"] in found
    assert ["c01-s001", "verdict", "trained"] in found
    assert last == "3 of 5 attempts replay alike"


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["UPDATE meta SET value = '1' WHERE key = 'schema_version'"], "has schema version 1"),
        (["DELETE FROM attempts"], "holds no attempts; there is nothing to replay"),
        (
            [
                "DELETE FROM meta WHERE key = 'unfit'",
                """UPDATE meta SET value = '{"left_out": 3}' WHERE key = 'baselines'""",
            ],
            "does not tell which baselines did not fit",
        ),
    ],
)
def test_a_run_that_cannot_be_replayed_is_refused(
    statements: Sequence[str],
    message: str,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    change(run, *statements)
    assert main([str(run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deltanas-replay: ")
    assert message in line


def test_a_folder_without_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "holds no run.sqlite" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_of_an_llm_replays_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*SMALL[:3], "protocol.finalists=4", "protocol.finalist_epochs=2")
    words += ("confirm.sample=1", "confirm.best=1")
    grown = ("novelty.threshold=0.99", "dataset.gate=0", "lora.minimum_gain=-1", "llm.context=650")
    run = search(tmp_path / "run", *words, *grown)
    with RunStore(run / "run.sqlite", read_only=True) as store:
        config = store.meta("config")
        assert any(store.meta("unfit").values())
        assert any(row.admitted for row in store.attempts())
    config["llm"]["model"] = "/nowhere"
    change(
        run,
        f"UPDATE meta SET value = '{json.dumps(config).replace(chr(39), chr(39) * 2)}'"
        " WHERE key = 'config'",
    )
    assert main([str(run), "--study"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "6 of 6 attempts replay alike" in shown
    assert "4 of 4 finalists replay alike" in shown


def test_rows_that_cannot_be_read_are_refused_by_the_name_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.sqlite").write_text("no database")
    assert main([str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert str(tmp_path / "run.sqlite") in message
    assert "recorded" not in message
