"""What W&B receives, read back from the offline run, and that every panel shows some of it."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deltanas.records import Attempt, CycleSummary, Finalist, Summary
from deltanas.report import keys
from deltanas.report.dashboard import BY_ABLATION, dumped
from deltanas.report.metrics import cycle_metrics
from deltanas.report.tracker import NullTracker, Tracker
from deltanas.report.wandb_tracker import CANDIDATE_COLUMNS, WandbTracker
from tests.evaluate.processes import command_line, descendants, parents, wait_for

NAME = "job 1 of 2: a=b,c;d #?/'\udcff" + 128 * "e"
CURVES = [
    Finalist(
        attempt_id=name, dataset="digits", proxy_accuracy=0.5, final_accuracy=0.5, curve=curve
    )
    for name, curve in (("c00-s000", (0.25, 0.5, 0.75)), ("c01-s000", (0.5,)))
]
TRACKER_KEYS = {keys.CYCLE, keys.CANDIDATES, keys.BEST_DELTAS}


def _records(directory: Path) -> Iterator[dict[str, Any]]:
    """Read the one offline run in a directory with W&B's own reader."""
    (run,) = (directory / "wandb").glob("offline-run-*")
    wandb = Path(sys.executable).with_name("wandb")
    done = subprocess.run(
        [wandb, "leet", "inspect", "--json", run],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
        env=os.environ | {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"},
    )
    for line in done.stdout.splitlines():
        yield json.loads(line)


def _log_run(
    tracker: Tracker,
    attempts: list[Attempt],
    cycles: list[CycleSummary],
    summary: Summary,
) -> None:
    tracker.start("tiny-digits-0042", NAME, {"llm": {"name": "tiny"}, "ablation": "none"})
    for cycle in cycles:
        for attempt in attempts:
            if attempt.cycle == cycle.cycle:
                tracker.log_row(attempt)
        tracker.log_cycle(cycle)
    tracker.log_candidates(attempts)
    tracker.log_finalists(CURVES)
    tracker.log_files(Path(__file__), attempts)
    tracker.finish(summary)


@pytest.fixture(scope="module")
def directory(
    tmp_path_factory: pytest.TempPathFactory,
    attempts: list[Attempt],
    cycles: list[CycleSummary],
    summary: Summary,
) -> Path:
    """Log one run; return where its files lie."""
    path = tmp_path_factory.mktemp("tracked")
    tracker = WandbTracker(
        project="deltanas", directory=path, group="sweep", tags=["x" * 80], say=pytest.fail
    )
    _log_run(tracker, attempts, cycles, summary)
    return path


@pytest.fixture(scope="module")
def records(directory: Path) -> list[dict[str, Any]]:
    return list(_records(directory))


def _history(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record["history"]["item"] for record in records if "history" in record]


def _at_end(records: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for record in records:
        found |= record.get("summary", {}).get("update", {})
    return found


@pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")
def test_every_panel_shows_what_a_run_logged(records: list[dict[str, Any]]) -> None:
    (run,) = [record["run"] for record in records if "run" in record]
    logged = {key.partition("._type")[0] for step in _history(records) for key in step}
    at_end = _at_end(records)
    shown = set()
    sections = json.loads(dumped("me", "deltanas"))["section"]["panelBankConfig"]["sections"]
    panels = [(section["name"], panel) for section in sections for panel in section["panels"]]
    for _, panel in panels:
        config = panel["config"]
        known = at_end if panel["viewType"] == "Bar Chart" else logged
        found = {metric.removeprefix("summary_metrics.") for metric in config.get("metrics", ())}
        if "metricRegex" in config:
            found = {key for key in logged if re.search(config["metricRegex"], key)}
        assert found or panel["viewType"] == "Run Comparer", panel
        assert found <= known.keys() if known is at_end else found <= logged, panel
        assert config.get("xAxis", keys.CYCLE) in logged
        if "groupBy" in config:
            assert config["groupBy"].removesuffix(".value") in run["config"]["update"]
        shown |= found
    assert {keys.VALID_RATE, keys.DELTA_LINES, keys.SPEARMAN_RHO, keys.DISTINCT_RATE} <= shown
    grouped = {
        m for _, p in panels for m in p["config"].get("metrics", ()) if "groupBy" in p["config"]
    }
    assert {f"summary_metrics.{key}" for key in BY_ABLATION} <= grouped


def test_rows_come_one_by_one_and_curves_epoch_by_epoch(
    records: list[dict[str, Any]], attempts: list[Attempt]
) -> None:
    history = _history(records)
    rows = [step for step in history if keys.ATTEMPT in step]
    assert [step[keys.ATTEMPT] for step in rows] == [*range(1, 9)]
    assert [step[keys.ATTEMPT_VALID] for step in rows] == [1, 0, 1, 0, 1, 1, 0, 1]
    assert [step.get(keys.ATTEMPT_BEST) for step in rows] == [0.5] * 4 + [0.75] * 4
    assert [step.get(keys.ATTEMPT_ACCURACY) for step in rows] == [
        attempt.proxy_accuracy for attempt in attempts
    ]
    assert [  # by epoch
        {key: step[key] for key in step if key.startswith(("finalist/", "finalists/"))}
        for step in history
        if keys.EPOCH in step
    ] == [
        {"finalists/epoch": 1, "finalist/c00-s000": 0.25, "finalist/c01-s000": 0.5},
        {"finalists/epoch": 2, "finalist/c00-s000": 0.5},
        {"finalists/epoch": 3, "finalist/c00-s000": 0.75},
    ]


def test_a_run_that_goes_on_is_counted_on(
    tmp_path: Path, attempts: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[dict[str, Any]] = []
    run = SimpleNamespace(log=logged.append, define_metric=lambda *_, **options: None)
    monkeypatch.setattr("wandb.setup", lambda **options: None)
    monkeypatch.setattr("wandb.init", lambda **options: run)
    tracker = WandbTracker(project="deltanas", directory=tmp_path, say=pytest.fail)
    tracker.start("run", "run", {}, attempts[:5])
    tracker.log_row(attempts[5])
    (step,) = logged
    assert (step[keys.ATTEMPT], step[keys.ATTEMPT_BEST]) == (6, 0.75)
    assert step[keys.ATTEMPT_ACCURACY] == 0.5


def test_report_and_best_network_are_artifacts(records: list[dict[str, Any]]) -> None:
    found = [record["artifact"] for record in records if "artifact" in record]
    kept = {each["name"]: each for each in found}
    assert {keys.REPORT, keys.NETWORK} <= kept.keys()
    best = kept[keys.NETWORK]
    assert "net.py" in json.dumps(best)
    assert "c01-s000" in json.dumps(best)


def test_an_offline_run_holds_the_four_figures(
    records: list[dict[str, Any]], cycles: list[CycleSummary], summary: Summary
) -> None:
    history = _history(records)
    by_cycle = [step for step in history if keys.VALID_RATE in step]
    for name in (
        keys.VALID_RATE,
        keys.MEAN_FIRST_EPOCH_ACCURACY,
        keys.DELTA_LINES,
    ):
        assert [step[name] for step in by_cycle] == [cycle_metrics(c)[name] for c in cycles]
    assert [step[keys.CYCLE] for step in by_cycle] == [0, 1]
    assert history[-1][keys.SPEARMAN_RHO] == pytest.approx(0.8)
    logged = {key.partition("._type")[0] for step in history for key in step}
    assert set(keys.TITLES) | TRACKER_KEYS <= logged

    at_end = _at_end(records)
    flat = {key: value for key, value in summary.flat().items() if key != "verdicts"}
    assert {key: at_end[key] for key in flat} == flat
    assert at_end["verdicts"] == summary.verdicts
    assert at_end["candidates.nrows"] == 8

    axes = {r["metric"].get("name") for r in records if "metric" in r}
    assert set(keys.TITLES) <= axes
    (run,) = [record["run"] for record in records if "run" in record]
    assert (run["run_group"], run["project"]) == ("sweep", "deltanas")
    assert (run["run_id"], len(run["display_name"])) == ("tiny-digits-0042", 128)
    assert run["display_name"].startswith("job 1 of 2: a=b,c;d #?/'?eee")
    assert run["config"]["update"]["llm"] == {"name": "tiny"}


def test_the_table_holds_every_candidate_with_its_delta(
    directory: Path, attempts: list[Attempt]
) -> None:
    (run,) = (directory / "wandb").glob("offline-run-*")
    (path,) = run.glob("files/media/table/candidates*.json")
    table = json.loads(path.read_text())
    assert table["columns"] == list(CANDIDATE_COLUMNS)
    ids = [row[CANDIDATE_COLUMNS.index("attempt_id")] for row in table["data"]]
    assert ids == [attempt.attempt_id for attempt in attempts]
    (page,) = run.glob("files/media/html/best_deltas*.html")
    assert "<script" not in page.read_text()


def test_a_run_that_broke_off_is_closed_and_another_can_follow(
    tmp_path: Path, cycles: list[CycleSummary], capfd: pytest.CaptureFixture[str]
) -> None:
    import wandb

    for number in range(2):
        tracker = WandbTracker(project="deltanas", directory=tmp_path, say=print)
        tracker.start(f"run-{number}", "run", {})
        tracker.log_cycle(cycles[0])
        tracker.finish(None)
        assert wandb.run is None
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""  # no banner
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2
    with pytest.raises(RuntimeError, match="call start first"):
        tracker.log_cycle(cycles[0])


def _kill_wandb() -> None:
    (service,) = [p for p in descendants(os.getpid()) if b"wandb-core" in command_line(p)]
    os.kill(service, signal.SIGKILL)
    wait_for(lambda: service not in parents())


@pytest.mark.parametrize("stage", ["cycle", "candidates", "end"])
def test_a_run_goes_on_when_the_process_of_wandb_dies(
    stage: str, tmp_path: Path, attempts: list[Attempt], cycles: list[CycleSummary]
) -> None:
    said: list[str] = []
    for died in (True, False):  # and the next run of a sweep is shown again
        tracker = WandbTracker(project="deltanas", directory=tmp_path, say=said.append)
        tracker.start(f"run-{died}", "run", {})
        tracker.log_cycle(cycles[0])
        if died and stage == "cycle":
            _kill_wandb()
        for _ in range(10):
            tracker.log_cycle(cycles[1])
        if died and stage == "candidates":
            _kill_wandb()
        tracker.log_candidates(attempts)
        if died and stage == "end":
            _kill_wandb()
        tracker.finish(None)
        (sentence,) = said
        assert sentence.startswith("W&B stopped (")
        assert "run.sqlite holds all" in sentence


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), ValueError("a\nb")])
def test_whatever_wandb_raises_at_its_start_is_one_sentence(
    error: Exception,
    tmp_path: Path,
    attempts: list[Attempt],
    cycles: list[CycleSummary],
    summary: Summary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def init(**options: object) -> None:
        raise error

    monkeypatch.setattr("wandb.init", init)
    said: list[str] = []
    tracker = WandbTracker(project="deltanas", directory=tmp_path, say=said.append)
    _log_run(tracker, attempts, cycles, summary)
    (sentence,) = said
    assert sentence.startswith("W&B cannot show this run (")
    assert "\n" not in sentence


def test_what_wandb_cannot_draw_ends_no_search(
    tmp_path: Path, attempts: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    def table(**options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    said: list[str] = []
    tracker = WandbTracker(project="deltanas", directory=tmp_path, say=said.append)
    tracker.start("run", "run", {})
    monkeypatch.setattr("wandb.Table", table)
    tracker.log_candidates(attempts)
    tracker.finish(None)
    (sentence,) = said
    assert sentence.startswith("W&B stopped ([Errno 28]")


OFFLINE = """
import socket, sys
sys.path[:0] = {path!r}
def refuse(*address, **options):
    print("looked up", address, flush=True)
    raise OSError("no network")
socket.getaddrinfo = refuse
from pathlib import Path
from deltanas.report.wandb_tracker import WandbTracker
tracker = WandbTracker(project="deltanas", directory=Path({directory!r}), say=print)
tracker.start("quiet", "quiet", {{}})
tracker.log_candidates([])
tracker.finish(None)
"""


def test_offline_means_no_network_until_the_process_ends(tmp_path: Path) -> None:
    code = OFFLINE.format(path=sys.path, directory=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_null_tracker_takes_every_call(
    attempts: list[Attempt], cycles: list[CycleSummary], summary: Summary
) -> None:
    _log_run(NullTracker(), attempts, cycles, summary)
