"""`deltanas-status`: how far runs are, however they were left."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from deltanas.cli import status as module
from deltanas.cli.status import main
from deltanas.config.schema import Config
from deltanas.record.store import RunStore
from deltanas.records import Attempt, State

Fill = Callable[[RunStore], None]


@pytest.fixture(autouse=True)
def _piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest's workers have that of its terminal


@pytest.fixture
def write(fill: Fill) -> Callable[..., Path]:
    """Return a function that writes a run of two of three cycles, its study begun."""

    def do(directory: Path, seeds: int = 2, **meta: object) -> Path:
        directory.mkdir(parents=True)
        config = asdict(Config())
        config["protocol"] |= {"cycles": 3, "candidates": 4}
        config["confirm"]["seeds"] = seeds
        config["llm"]["name"], config["dataset"]["name"] = "tiny", "digits"
        with RunStore(directory / "run.sqlite") as store:
            fill(store)
            for key, value in {"config": config, "title": directory.name, **meta}.items():
                store.set_meta(key, value)
        return directory

    return do


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    text = capsys.readouterr().out.replace("\u00a0", " ")
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_run_that_broke_off_is_shown_with_what_goes_on_with_it(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = write(tmp_path / "a run")
    before = {path: path.read_bytes() for path in directory.iterdir()}
    assert main([str(directory)]) == 0
    lines = said(capsys)
    assert lines[0] == "a run unfinished"
    assert lines[1].startswith("llm=tiny dataset=digits ")
    assert "Cycles 2 of 3" in lines
    assert "Valid 5 of 8 attempts, 62.5 %" in lines
    assert "Distinct 4" in lines
    assert "Improved 3 beat their parent under the run's one seed" in lines
    assert "Best 75.0 % validation accuracy, c01-s000, +12.5 pp over plain-a" in lines
    assert (
        "Confirmed 1 of 2 beat their parent under every fresh seed; best 68.8 %, test split"
        in lines
    )
    assert "Study 5 of 8 finalists" in lines
    assert any("generate 4.0 s" in line for line in lines)
    # 13.75 s for 4 attempts, and 3 finalists of 50 epochs at 0.4 s
    assert "Time left about 75 s once it goes on, an estimate from the last cycles" in lines
    words = shlex.split(lines[-1])
    assert f"resume={directory}" in words
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


def test_what_is_not_confirmed_to_the_end_claims_nothing(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write(tmp_path / "run", seeds=3))]) == 0
    # two of the sample with one parent, and one more among the best
    assert "Confirmed 8 of 12 epochs so far" in said(capsys)


def test_what_a_foreign_run_says_does_not_steer_the_terminal(
    write: Callable[..., Path],
    make_attempt: Callable[..., Attempt],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = write(tmp_path / "run")
    with RunStore(directory / "run.sqlite") as store:
        row = make_attempt(1, 4, proxy_accuracy=1.0, parent_id="\x1b[2J\u202eevil")
        store.append(replace(row, attempt_id="\x1b]0;owned\x07"))
    assert main([str(directory)]) == 0
    best = r"100.0 % validation accuracy, \x1b]0;owned\x07, +12.5 pp over \x1b[2J\u202eevil"
    assert f"Best {best}" in said(capsys)


def test_a_sweep_is_a_table_that_knows_of_jobs_to_come(
    write: Callable[..., Path],
    write_run: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / "sweep/0", title="job 1 of 4: seed=1", finished=True, wall_seconds=100.0)
    write_run(tmp_path / "summary only")
    (tmp_path / "summary only/summary.json").rename(tmp_path / "sweep/0/summary.json")
    write(tmp_path / "sweep/1", title="job 2 of 4: seed=[bold]\x1b2")
    (tmp_path / "sweep/2").mkdir()
    (tmp_path / "sweep/2/run.sqlite").touch()
    assert main([str(tmp_path / "sweep")]) == 0
    lines = said(capsys)
    assert "job 1 of 4: seed=1 finished 2/3 5/8 4 3 75.0 % –" in lines
    assert r"job 2 of 4: seed=[bold]\x1b2 unfinished 2/3 5/8 4 3 75.0 % about 75 s" in lines
    assert "2 failed – – – – – –" in lines
    assert any("run.sqlite is empty" in line for line in lines)
    # 75 s of the second, and the third counts as begun
    assert lines[-1] == "1 more jobs of the sweep have not begun; all is done in about 3 min"


@pytest.mark.parametrize("content", [b"", b"no database at all, but as long as one is", None])
def test_what_holds_no_run_is_a_sentence(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.sqlite"
    if content is None:
        RunStore(path).close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    else:
        path.write_bytes(content)
    assert main([str(tmp_path)]) == 0
    printed = "".join(capsys.readouterr())
    fault = "schema version 99; this program reads" if content is None else "run.sqlite"
    assert fault in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("config", [None, {"seed": 42}, [], {"protocol": 3}])
def test_a_run_that_does_not_tell_what_it_is_to_do_is_a_row_of_blanks(
    config: object, write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write(tmp_path / "run", config=config))]) == 0
    assert any(line.startswith("run unfinished – – –") for line in said(capsys))


def test_a_path_without_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_watching_shows_what_changed_and_ends_with_the_run(
    write: Callable[..., Path],
    write_run: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = write(tmp_path / "run")
    write_run(tmp_path / "other")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            (tmp_path / "other/summary.json").rename(directory / "summary.json")
            with RunStore(directory / "run.sqlite") as store:
                store.set_meta("finished", True)

    monkeypatch.setattr(module.time, "sleep", sleep)
    assert main([str(directory), "--watch"]) == 0
    heads = [line for line in said(capsys) if line.startswith("run ")]
    assert heads == [f"run {State.UNFINISHED}", "run finished"]
    assert waits == [2.0, 2.0]


def test_watching_ends_where_nobody_writes(
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    assert main([str(write(tmp_path / "run")), "--watch"]) == 0
    assert said(capsys)[-1] == "nobody has written for 30 s"
    assert now[0] == 32.0
