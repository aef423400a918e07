"""Run directories as a crash or a user leaves them: each is read, none raises."""

from __future__ import annotations

import fcntl
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from deltanas.cli.run_folders import RunFolderError, find_runs, read_run
from deltanas.config.schema import Config
from deltanas.record.store import RunStore
from deltanas.records import FinishedRun, LostRun, State
from deltanas.report.comparison.grouping import group_runs
from tests.run_fixtures import make_older

WriteRun = Callable[..., Path]


def write_overrides(directory: Path, text: str = "- seed=3\n- ablation=no_lora\n") -> Path:
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra/overrides.yaml").write_text(text, encoding="utf-8")
    return directory


def read_lost(directory: Path) -> LostRun:
    run = read_run(directory)
    assert isinstance(run, LostRun)
    return run


def test_jobs_of_a_multirun_come_in_their_order(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / "sweep" / str(job)) for job in (0, 2, 10)]
    assert find_runs([tmp_path]) == runs
    assert find_runs([tmp_path / "sweep", runs[1]]) == runs


def test_an_empty_job_of_a_multirun_is_a_run_that_failed(
    tmp_path: Path, write_run: WriteRun
) -> None:
    write_run(tmp_path / "0")
    (tmp_path / "1").mkdir()
    (tmp_path / "multirun.yaml").touch()
    assert [path.name for path in find_runs([tmp_path])] == ["0", "1"]
    assert read_lost(tmp_path / "1").state is State.FAILED


def test_every_path_without_a_run_is_named(tmp_path: Path, write_run: WriteRun) -> None:
    (tmp_path / "empty").mkdir()
    run = write_run(tmp_path / "run")
    paths = [run, tmp_path / "empty", tmp_path / "nowhere", run / "summary.json"]
    message = "empty holds no run; .*nowhere is missing; .*summary.json is a file"
    with pytest.raises(RunFolderError, match=message):
        find_runs(paths)


def test_a_job_that_never_began_shows_its_overrides(tmp_path: Path) -> None:
    run = read_lost(write_overrides(tmp_path / "0"))
    assert (run.state, run.attempted) == (State.FAILED, 0)
    assert run.overrides == ("seed=3", "ablation=no_lora")
    assert "before its first attempt" in run.reason


def test_a_run_that_broke_off_shows_its_rows_and_how_to_go_on(
    tmp_path: Path, fill: Callable[[RunStore], None]
) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        fill(store)
    run = read_lost(tmp_path)
    assert (run.state, run.attempted, run.valid) == (State.UNFINISHED, 8, 5)
    assert f"resume={tmp_path}" in run.reason
    assert run.settings["llm.name"] == "tiny"


@pytest.mark.parametrize(
    ("meta", "finished"),
    [
        ({"finished": False}, False),
        ({"finished": True}, True),
        ({"config": {"protocol": {"cycles": 3}}}, False),  # of an earlier version
        ({"config": {"protocol": {"cycles": 2}}}, True),
        ({}, True),
    ],
)
def test_an_interrupted_run_is_not_finished_though_it_has_a_summary(
    meta: dict[str, object],
    finished: bool,
    tmp_path: Path,
    write_run: WriteRun,
    fill: Callable[[RunStore], None],
) -> None:
    directory = write_run(tmp_path / "a run; of mine")
    with RunStore(directory / "run.sqlite") as store:
        fill(store)
        for key, value in meta.items():
            store.set_meta(key, value)
    run = read_run(directory)
    if finished:
        assert isinstance(run, FinishedRun)
        return
    assert isinstance(run, LostRun)
    assert (run.state, run.attempted, run.valid) == (State.UNFINISHED, 8, 5)
    words = shlex.split(run.reason.removeprefix("it broke off; ").removesuffix(" goes on with it"))
    assert words == ["deltanas", f"resume={directory}"]


def test_a_run_that_another_process_writes_is_running(
    tmp_path: Path, fill: Callable[[RunStore], None]
) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        fill(store)
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX);"
        " print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run.lock")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        run = read_lost(tmp_path)
        holder.communicate()
    assert (run.state, run.attempted) == (State.RUNNING, 8)
    with (tmp_path / "run.lock").open("a") as lock:  # looking took no lock
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "summary.json is not JSON"),
        ("[]", "summary.json holds a list"),
        ("{}", "llm is None; it must be a name"),
    ],
)
def test_a_broken_summary_says_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(text, encoding="utf-8")
    run = read_lost(tmp_path)
    assert run.state is State.FAILED
    assert message in run.reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid": 9}, "9 valid and 1 infrastructure failures do not fit 8 attempts"),
        ({"wall_seconds": "long"}, "wall_seconds is 'long'; it must be a finite number or null"),
        ({"mean_gain": float("nan")}, "mean_gain is nan"),
        ({"seed": None}, "seed is None; it must be a whole number"),
        ({"ablation": 3}, "ablation is 3; it must be a name or null"),
    ],
)
def test_figures_that_cannot_hold_are_refused(
    changes: dict[str, object], message: str, tmp_path: Path, write_run: WriteRun
) -> None:
    assert message in read_lost(write_run(tmp_path / "run", **changes)).reason


def test_figures_that_an_older_summary_lacks_are_not_measured(
    tmp_path: Path, write_run: WriteRun
) -> None:
    path = write_run(tmp_path / "run") / "summary.json"
    summary = json.loads(path.read_text())
    del summary["useful_rate"]
    path.write_text(json.dumps(summary))
    run = read_run(path.parent)
    assert isinstance(run, FinishedRun)
    assert run.summary.useful_rate is None


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be looked at"])
def test_a_broken_store_is_reported_not_raised(content: bytes, tmp_path: Path) -> None:
    write_overrides(tmp_path, "- {unbalanced")
    (tmp_path / "run.sqlite").write_bytes(content)
    run = read_lost(tmp_path)
    assert run.state is State.FAILED
    assert "run.sqlite" in run.reason
    assert run.overrides == ()


def test_a_finished_run_brings_its_cycles_and_settings(
    tmp_path: Path, write_run: WriteRun, fill: Callable[[RunStore], None]
) -> None:
    directory = write_run(tmp_path / "run")
    with RunStore(directory / "run.sqlite") as store:
        fill(store)
    run = read_run(directory)
    assert isinstance(run, FinishedRun)
    assert len(run.cycles) == 2
    assert run.settings["llm.name"] == "tiny"


def test_a_run_from_before_a_setting_is_one_group_with_a_run_that_leaves_it_alone(
    tmp_path: Path, write_run: WriteRun
) -> None:
    configurations = [asdict(Config()) for _ in range(3)]
    configurations[0]["proposer"] = "llm"  # as it was up to version 5, without options
    del configurations[0]["repair"], configurations[0]["prompt"]
    configurations[2]["proposer"]["operators"] = 0.5
    for number, config in enumerate(configurations):
        directory = write_run(tmp_path / str(number), seed=number)
        with RunStore(directory / "run.sqlite") as store:
            store.set_meta("config", config)
            store.set_meta("finished", True)
    make_older(tmp_path / "0" / "run.sqlite")
    groups = group_runs([read_run(path) for path in find_runs([tmp_path])])
    assert [(len(group.runs), group.key.variant) for group in groups] == [
        (2, "operators=0.0"),
        (1, "operators=0.5"),
    ]
