"""The whole program on the smallest real search: embedded LLM, digits, jail, LoRA, report."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deltanas.records import Summary, Verdict

UNCONFIRMED = ("confirm.sample=0", "confirm.best=0")
SMALL = (
    "protocol.cycles=2",
    "protocol.candidates=4",
    "protocol.finalists=4",
    "protocol.finalist_epochs=2",
    "confirm.sample=2",
    "confirm.best=1",
    "lora.minimum_gain=-1",  # so few candidates may hold no gain, and LoRA shall run
)


def run(directory: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deltanas", f"hydra.run.dir={directory}", *overrides],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def rows(directory: Path) -> list[dict[str, object]]:
    connection = sqlite3.connect(directory / "run.sqlite")
    connection.row_factory = sqlite3.Row
    with connection:
        found = connection.execute("SELECT * FROM attempts ORDER BY cycle, slot").fetchall()
    connection.close()
    return [dict(row) for row in found]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run") / "first"
    process = run(directory, *SMALL)
    assert process.returncode == 0, process.stderr
    lines = process.stdout.rstrip().splitlines()
    assert lines[0].startswith("deltanas: 2 cycles x 4 candidates, llm=tiny dataset=digits")
    assert any(line.startswith("cycle 0 ") and line.endswith(" left") for line in lines)
    assert any(line.startswith("study: finalists: 4 trainings to do") for line in lines)
    assert lines[-1] == str(directory)
    return directory


def test_the_run_directory_holds_what_it_promises(finished: Path):
    for name in ("run.sqlite", "summary.json", "report.html", ".hydra/config.yaml"):
        assert (finished / name).is_file(), name
    assert (finished / "adapters").is_dir()


def test_the_summary_counts_every_attempt(finished: Path):
    summary = json.loads((finished / "summary.json").read_text())
    assert tuple(summary) == tuple(Summary.from_flat(summary).flat())
    assert summary["attempted"] == 8
    assert sum(summary["verdicts"].values()) == 8
    assert set(summary["verdicts"]) == {verdict.value for verdict in Verdict}
    assert summary["valid"] == summary["verdicts"]["trained"]
    assert 0 < summary["valid_rate"] <= 1


def test_the_stages_account_for_all_the_time_that_passed(finished: Path):
    summary = json.loads((finished / "summary.json").read_text())
    stages = {key: value for key, value in summary.items() if key.startswith("seconds_")}
    assert stages.pop("seconds_race") == 0.0  # there is none
    assert all(stages.values()), stages
    assert sum(stages.values()) == pytest.approx(summary["wall_seconds"], rel=0.01, abs=0.1)


def test_every_attempt_is_a_row_with_what_was_asked_and_answered(finished: Path):
    found = rows(finished)
    assert [(row["cycle"], row["slot"]) for row in found] == [
        (c, s) for c in range(2) for s in range(4)
    ]
    for row in found:
        assert row["prompt"]
        assert row["reply"]
        assert (row["proxy_accuracy"] is not None) == (row["verdict"] == "trained")


def test_the_tracker_holds_the_four_figures(finished: Path):
    (offline,) = (finished / "wandb").glob("offline-run-*")
    wandb = Path(sys.executable).with_name("wandb")
    process = subprocess.run(
        [wandb, "leet", "inspect", "--json", offline], capture_output=True, text=True, check=True
    )
    for key in (
        "cycle/valid_rate",
        "cycle/mean_first_epoch_accuracy",
        "cycle/delta_lines",
        "spearman_rho",
        "attempt/best_proxy_accuracy",
        '"finalist/c0',
    ):
        assert key in process.stdout


def test_the_same_seed_gives_the_same_run(finished: Path, tmp_path: Path):
    process = run(tmp_path / "again", *SMALL, "tracker=none")
    assert process.returncode == 0, process.stderr
    keys = ("attempt_id", "parent_id", "verdict", "reply", "proxy_accuracy", "admitted")
    first, again = rows(finished), rows(tmp_path / "again")
    assert [[row[k] for k in keys] for row in first] == [[row[k] for k in keys] for row in again]


@pytest.mark.parametrize("ablation", ["free_decoding", "evolution"])
def test_an_ablation_runs(ablation: str, tmp_path: Path):
    process = run(
        tmp_path / "run",
        f"ablation={ablation}",
        "tracker=none",
        "protocol.cycles=1",
        "protocol.candidates=4",
        "protocol.finalists=0",
        *UNCONFIRMED,
    )
    assert process.returncode == 0, process.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["ablation"] == ablation
    assert summary["attempted"] == 4
    assert summary["spearman_rho"] is None


def test_networks_may_train_by_their_own_loop_and_every_row_says_so(tmp_path: Path):
    words = ("ablation=random_edit", "tracker=none", "protocol.cycles=1", "protocol.candidates=4")
    process = run(
        tmp_path / "run", *words, *UNCONFIRMED, "protocol.finalists=0", "trainer.loop=own"
    )
    assert process.returncode == 0, process.stderr
    found = rows(tmp_path / "run")
    assert [(row["loop"], row["overworked"]) for row in found] == [("own", 0)] * 4
    assert any(row["verdict"] == "trained" for row in found)


def test_an_interrupted_run_keeps_its_rows_and_writes_its_summary(tmp_path: Path):
    directory = tmp_path / "run"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "deltanas",
            f"hydra.run.dir={directory}",
            "ablation=random_edit",
            "tracker=none",
            "protocol.cycles=100",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell starts jobs in the background with Ctrl-C ignored, and that is inherited
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (directory / "run.sqlite").exists() and rows_so_far(directory) >= 3:
            break
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    *_, line, last = output.rstrip().splitlines()
    assert (line, last) == (f"interrupted; deltanas resume={directory} goes on", str(directory))
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["attempted"] == len(rows(directory)) >= 3


def rows_so_far(directory: Path) -> int:
    try:
        return len(rows(directory))
    except sqlite3.OperationalError:  # not created yet
        return 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("llm=mistrl",), "Available options in 'llm'"),
        (("cyles=3",), "no setting cyles; did you mean protocol.cycles?"),
        (("seed=abc",), "seed=abc: Value 'abc' of type 'str' could not be converted to Integer"),
        (("llm=custom",), "llm.model has no value; it must be given: llm.model=VALUE"),
        (("protocol.cycles=-3",), "protocol.cycles=-3 is out of range"),
        (("archive=lemur", "archive.path=/nowhere.sqlite"), "deltanas-lemur fetch"),
    ],
)
def test_bad_input_ends_in_one_clear_message(
    overrides: tuple[str, ...], message: str, tmp_path: Path
):
    process = run(tmp_path / "run", *overrides)
    assert process.returncode == 2
    assert message in process.stderr
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "run").exists()


def test_an_unwritable_run_directory_is_named(tmp_path: Path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    process = run(blocker / "run")
    assert process.returncode == 2
    assert str(blocker) in process.stderr
    assert "Traceback" not in process.stderr


def test_the_jobs_of_a_sweep_are_one_group(tmp_path: Path):
    sweep = tmp_path / "sweep"
    process = subprocess.run(
        [
            *(sys.executable, "-m", "deltanas", "--multirun", f"hydra.sweep.dir={sweep}"),
            *("seed=1,2", "ablation=random_edit", "tracker=none"),
            *("protocol.cycles=1", "protocol.candidates=2", "protocol.finalists=0"),
            *UNCONFIRMED,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert process.returncode == 0, process.stderr
    (first, second) = (line for line in process.stdout.splitlines() if ", job " in line)
    assert first.startswith("deltanas, job 1 of 2: 1 cycles x 2 candidates, llm=random_edit")
    assert second.endswith(" ablation=random_edit seed=2")
    for job in ("0", "1"):
        with sqlite3.connect(sweep / job / "run.sqlite") as connection:
            meta = dict(connection.execute("SELECT key, value FROM meta"))
        connection.close()
        assert json.loads(meta["config"])["tracker"]["group"] == "sweep"
        number = int(job) + 1
        assert json.loads(meta["title"]) == f"job {number} of 2: seed={number}"
