"""A killed run goes on with `resume=RUN_DIR` and ends with the rows of one that was not killed."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = (
    "ablation=random_edit",
    "tracker=none",
    "protocol.cycles=2",
    "protocol.candidates=3",
    "protocol.finalists=2",
    "protocol.finalist_epochs=2",
    "confirm.race=1",
    "confirm.sample=1",
    "confirm.best=1",
    "confirm.seeds=2",
)
WITH_LLM = ("lora.minimum_gain=-1", *(word for word in SMALL if "ablation" not in word))
COLUMNS = (
    "attempt_id parent_id dataset verdict reason reply delta code proxy_accuracy"
    " first_epoch_accuracy gain novelty degenerate admitted reused_from seed writer repairs"
)
TABLES = {
    "attempts": COLUMNS,
    "baselines": "baseline_id dataset source proxy_accuracy first_epoch_accuracy parent_id",
    "cycles": "cycle attempted valid useful admitted tune_loss_before tune_loss_after",
    "finalists": "attempt_id final_accuracy curve verdict",
    "retrainings": "network_id purpose number seed verdict validation_accuracy test_accuracy",
}


def start(directory: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "deltanas", *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=directory.parent
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    return output


def count(directory: Path, table: str) -> int:
    try:
        return len(rows(directory)[table])
    except sqlite3.OperationalError:  # not created yet
        return 0


def rows(directory: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return what must not depend on kills: all but times, in the order of the ids."""
    connection = sqlite3.connect(f"file:{directory / 'run.sqlite'}?mode=ro", uri=True)
    try:
        return {
            table: sorted(
                connection.execute(f"SELECT {', '.join(columns.split())} FROM {table}"),
                key=str,
            )
            for table, columns in TABLES.items()
        }
    finally:
        connection.close()


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unkilled") / "run"
    finish(start(directory, *SMALL, f"hydra.run.dir={directory}"))
    return directory


@pytest.mark.parametrize(
    ("table", "enough"), [("attempts", 4), ("retrainings", 2), ("finalists", 1)]
)
def test_a_run_killed_in_any_stage_ends_with_the_same_rows(
    table: str, enough: int, unkilled: Path, tmp_path: Path
):
    directory = tmp_path / "run"
    process = start(directory, *SMALL, f"hydra.run.dir={directory}")
    deadline = time.monotonic() + 120
    while count(directory, table) < enough and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    output = finish(start(directory, f"resume={directory}"))
    assert output.rstrip().splitlines()[-1] == str(directory)
    assert rows(directory) == rows(unkilled)
    assert (directory / "summary.json").is_file()


def test_a_finished_run_is_left_as_it_is(unkilled: Path):
    before = {path: path.read_bytes() for path in unkilled.iterdir() if path.is_file()}
    output = finish(start(unkilled, f"resume={unkilled}"))
    assert output == f"finished already; deltanas-report shows it again\n{unkilled}\n"
    assert {path: path.read_bytes() for path in unkilled.iterdir() if path.is_file()} == before


def contents(directory: Path, below: str = "") -> dict[Path, bytes]:
    files = (path for path in (directory / below).rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}


def test_the_same_command_again_finds_a_finished_run_and_adds_nothing(unkilled: Path):
    before, held = contents(unkilled), rows(unkilled)
    output = finish(start(unkilled, *SMALL, f"hydra.run.dir={unkilled}"))
    assert output == f"finished already; deltanas-report shows it again\n{unkilled}\n"
    assert contents(unkilled) == before
    process = start(unkilled, *SMALL, "seed=7", f"hydra.run.dir={unkilled}")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "holds a run of another configuration" in errors
    assert contents(unkilled, ".hydra") == {
        name: content for name, content in before.items() if name.parent.name == ".hydra"
    }
    assert rows(unkilled) == held


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("resume=nowhere",), "no run at"),
        (("resume=nowhere", "seed=1"), "resume=nowhere stands alone"),
    ],
)
def test_what_cannot_be_resumed_is_said_in_one_sentence(
    words: tuple[str, ...], message: str, tmp_path: Path
):
    process = start(tmp_path / "run", *words)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert message in errors
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_with_an_llm_survives_twenty_kills_at_random_moments(tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    began = time.monotonic()
    finish(start(whole, *WITH_LLM, f"hydra.run.dir={whole}"))
    longest = time.monotonic() - began
    rng = random.Random(5)
    kills = 0
    words: tuple[str, ...] = (*WITH_LLM, f"hydra.run.dir={killed}")
    while kills < 20:
        process = start(killed, *words)
        try:
            _, errors = process.communicate(timeout=rng.uniform(2, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
        else:
            assert process.returncode == 0, errors
            assert rows(killed) == rows(whole)
            killed = tmp_path / f"killed-{kills}"
        known = (killed / "run.sqlite").is_file() and count(killed, "baselines") > 0
        words = (f"resume={killed}",) if known else (*WITH_LLM, f"hydra.run.dir={killed}")
    finish(start(killed, *words))
    assert rows(killed) == rows(whole)
