"""`deltanas-report` as a user runs it."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deltanas.cli.report import main
from deltanas.record.store import RunStore
from tests.run_fixtures import make_older

SETTINGS = {
    "llm": {"name": "tiny", "model": "embedded", "prompt": "edit", "full_prompt": "write"},
    "tracker": {"name": "none"},
    "dataset": {"name": "digits"},
    "archive": {"name": "builtin"},
    "protocol": {"name": "quick"},
}
WriteRun = Callable[..., Path]


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_a_failed_job_does_not_lose_the_others(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "sweep"
    for seed in (1, 2):
        write_run(sweep / str(seed), seed=seed, valid=2 * seed, valid_rate=seed / 4)
    (sweep / "3/.hydra").mkdir(parents=True)
    (sweep / "3/.hydra/overrides.yaml").write_text("- llm=qwen<b>\n", encoding="utf-8")
    assert main([str(sweep)]) == 0
    ours, failed = rows_of(sweep / "comparison.csv")
    assert (ours["source"], ours["valid"], ours["attempted"]) == ("ours", "6", "16")
    assert (ours["seeds"], ours["valid_rate_mean"]) == ("1 2", "0.375")
    assert failed["source"] == "failed"
    assert "llm=qwen" in failed["note"]
    page = (sweep / "comparison.html").read_text(encoding="utf-8")
    assert "llm=qwen&lt;b&gt;" in page
    shown = capsys.readouterr().out
    assert "37.5 (25.0–50.0)" in shown
    assert "failed" in shown
    assert shown.rstrip().splitlines()[-1] == str(sweep / "comparison.html")


def test_the_table_fits_a_hundred_columns(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, llm in enumerate(("deepseek", "qwen", "mistral")):
        for j, dataset in enumerate(("cifar100", "mnist", "svhn", "imagenette", "celeba")):
            write_run(
                tmp_path / f"s/{10 * i + j}", llm=llm, dataset=dataset, ablation="no_novelty"
            )
    assert main([str(tmp_path / "s")]) == 0
    lines = capsys.readouterr().out.splitlines()[:-2]  # the last two are paths
    assert max(len(line.rstrip()) for line in lines) <= 100
    assert not any("…" in line for line in lines)


def test_the_page_is_well_formed_and_loads_nothing(
    tmp_path: Path,
    write_run: WriteRun,
    fill: Callable[[RunStore], None],
    check_page: Callable[[str], None],
) -> None:
    for seed in (1, 2):
        run = write_run(tmp_path / f"sweep/{seed}", llm="deepseek", seed=seed)
        with RunStore(run / "run.sqlite") as store:
            fill(store)
        (run / "report.html").touch()
    assert main([str(tmp_path / "sweep")]) == 0
    page = (tmp_path / "sweep/comparison.html").read_text(encoding="utf-8")
    check_page(page)
    assert page.count("<svg") == 5  # the best so far is one of them
    assert "The best confirmed network stands at" in page
    assert 'href="1/report.html"' in page
    assert "paper: DeepSeek 7B" in page
    assert "six datasets" in page


def test_the_papers_row_is_in_the_csv(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "sweep/0", llm="mistral")
    assert main([str(tmp_path / "sweep")]) == 0
    paper = rows_of(tmp_path / "sweep/comparison.csv")[1]
    assert (paper["source"], paper["llm"], paper["valid"]) == ("paper", "mistral", "733")


def test_a_single_run_gets_its_page_anew(
    tmp_path: Path,
    fill: Callable[[RunStore], None],
    capsys: pytest.CaptureFixture[str],
    check_page: Callable[[str], None],
) -> None:
    run = tmp_path / "a run"
    run.mkdir()
    with RunStore(run / "run.sqlite") as store:
        fill(store)
        store.set_meta("config", SETTINGS)
        assert main([str(run), "--output", str(tmp_path / "elsewhere")]) == 0
        page = (tmp_path / "elsewhere/report.html").read_text(encoding="utf-8")
        assert "This run is being written" in page
        store.set_meta("finished", False)
    assert main([str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(run / "report.html")
    page = (run / "report.html").read_text(encoding="utf-8")
    check_page(page)
    assert "This run is not finished: deltanas &#39;resume=" in page
    assert not (run / "summary.json").exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("UPDATE meta SET value = '99' WHERE key = 'schema_version'", "schema version 99"),
        ("DROP TABLE attempts", "cannot be read: no such table: attempts"),
        ("DELETE FROM meta WHERE key = 'config'", "the run ended before it began"),
        ("UPDATE meta SET value = '{\"no\": 1}' WHERE key = 'config'", "does not have: Key 'no'"),
    ],
)
def test_a_run_that_cannot_be_read_ends_in_one_message(
    script: str,
    message: str,
    tmp_path: Path,
    fill: Callable[[RunStore], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        fill(store)
    make_older(tmp_path / "run.sqlite", script)
    assert main([str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not (tmp_path / "report.html").exists()


def test_output_names_another_folder(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "sweep/0")
    assert main([str(tmp_path / "sweep"), "--output", str(tmp_path / "new/folder")]) == 0
    assert (tmp_path / "new/folder/comparison.html").is_file()
    assert not (tmp_path / "sweep/comparison.html").exists()


def test_an_interrupted_run_enters_no_mean(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (1, 2):
        run = write_run(tmp_path / f"a sweep/{seed}", seed=seed, valid=2 * seed)
        with RunStore(run / "run.sqlite") as store:
            store.set_meta("finished", seed == 1)
    assert main([str(tmp_path / "a sweep")]) == 0
    ours, interrupted = rows_of(tmp_path / "a sweep/comparison.csv")
    assert (ours["seeds"], ours["valid"]) == ("1", "2")
    assert interrupted["source"] == "failed"
    assert str(tmp_path / "a sweep/2") in capsys.readouterr().out


def test_what_a_foreign_run_says_does_not_steer_the_terminal(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "sweep/0", llm="\x1b[2Jtiny")
    (tmp_path / "sweep/1/.hydra").mkdir(parents=True)
    (tmp_path / "sweep/1/.hydra/overrides.yaml").write_text('- "seed=\\e[2J1"\n')
    assert main([str(tmp_path / "sweep")]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"\x1b[2Jtiny" in printed
    assert r"seed=\x1b[2J1" in printed


def test_nothing_but_failed_jobs_is_still_a_page(tmp_path: Path) -> None:
    (tmp_path / "0/.hydra").mkdir(parents=True)
    (tmp_path / "0/.hydra/overrides.yaml").write_text("- seed=1\n", encoding="utf-8")
    assert main([str(tmp_path)]) == 0
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert "No run is finished" in page


def test_a_run_without_any_attempt_is_compared(tmp_path: Path, write_run: WriteRun) -> None:
    nothing = dict.fromkeys(("valid_rate", "useful_rate", "mean_first_epoch_accuracy"))
    figures = {"attempted": 0, "valid": 0, "infrastructure_failures": 0, **nothing}
    write_run(tmp_path / "sweep/0", **figures)
    assert main([str(tmp_path / "sweep")]) == 0
    (row,) = rows_of(tmp_path / "sweep/comparison.csv")
    assert (row["pooled_valid_rate"], row["useful_rate"]) == ("", "")


@pytest.mark.parametrize(("name", "message"), [("nowhere", "is missing"), ("", "holds no run")])
def test_a_path_without_runs_ends_in_one_message(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_an_output_that_cannot_be_written_ends_in_one_message(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "sweep/0")
    blocker = run / "summary.json"
    assert main([str(tmp_path / "sweep"), "--output", str(blocker)]) == 2
    assert str(blocker) in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_real_searches_are_compared(tmp_path: Path, check_page: Callable[[str], None]) -> None:
    small = ("protocol.cycles=1", "protocol.candidates=2", "protocol.finalists=0", "tracker=none")
    small += ("confirm.sample=0", "confirm.best=0")
    for seed in (1, 2):
        directory = tmp_path / "runs" / f"seed-{seed}"
        words = ("ablation=random_edit", f"seed={seed}", f"hydra.run.dir={directory}", *small)
        subprocess.run(
            [sys.executable, "-m", "deltanas", *words],
            check=True,
            capture_output=True,
            timeout=400,
        )
    command = [sys.executable, "-m", "deltanas.cli.report", str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(tmp_path / "runs/comparison.csv")
    assert (row["llm"], row["seeds"], row["attempted"]) == ("random_edit", "1 2", "4")
    assert row["variant"] == ""
    page = (tmp_path / "runs/comparison.html").read_text(encoding="utf-8")
    check_page(page)
    assert page.count("<svg") == 4
