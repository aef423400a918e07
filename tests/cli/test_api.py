"""The three calls of a notebook: what they return, and that a network scores as in its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import deltanas
from deltanas.record.lock import held
from deltanas.records import UserError, Verdict
from tests.evaluate.processes import descendants, parents, wait_for
from tests.test_end_to_end import UNCONFIRMED

SMALL = (
    *("ablation=random_edit", "tracker=none", "executor.workers=1", "seed=3"),
    *("protocol.cycles=1", "protocol.candidates=2", "protocol.finalists=0", *UNCONFIRMED),
    "protocol.max_parameters=2000000",
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> deltanas.Run:
    """A real search, in a process of its own."""
    return deltanas.run(SMALL, directory=tmp_path_factory.mktemp("run") / "it, (a=b)")


def test_a_search_comes_back_as_rows_that_a_table_takes(searched: deltanas.Run) -> None:
    assert searched.directory.name == "it, (a=b)"
    assert (searched.directory / "report.html").is_file()
    assert [row["attempt_id"] for row in searched.attempts()] == ["c00-s000", "c00-s001"]
    assert searched.summary()["attempted"] == 2
    assert searched.config()["protocol.cycles"] == 1
    for rows in (searched.attempts(), searched.cycles(), searched.baselines()):
        assert rows
        for row in rows:
            assert row.keys() == rows[0].keys()
            assert {type(value) for value in row.values()} <= {str, int, float, bool, type(None)}
    assert {"recipe_lr", "baseline_id", "origin", "recipe_scaling"} <= searched.baselines()[
        0
    ].keys()
    assert "seconds_evaluate" in searched.cycles()[0]


def test_an_exported_network_scores_as_it_did(searched: deltanas.Run, tmp_path: Path) -> None:
    best = searched.best()
    path = tmp_path / "best.py"
    path.write_text(searched.network())
    found = deltanas.evaluate_network(path, ["seed=3", "executor.threads=1"])
    assert found.verdict is Verdict.TRAINED
    assert found.proxy_accuracy == best["proxy_accuracy"]
    assert found.first_epoch_accuracy == best["first_epoch_accuracy"]


def test_a_run_is_read_while_it_is_written(searched: deltanas.Run) -> None:
    with held(searched.directory / "run.sqlite"):
        assert len(deltanas.open_run(str(searched.directory)).attempts()) == 2


def test_what_the_user_can_mend_is_one_message(tmp_path: Path, capfd: Any) -> None:
    with pytest.raises(UserError, match="^Could not override 'cyles': .* protocol.cycles"):
        deltanas.run("cyles=3", directory=tmp_path / "x")
    with pytest.raises(UserError, match="--multirun is a flag of the command line"):
        deltanas.run(["--multirun", "seed=1,2"])
    with pytest.raises(UserError, match="none is missing"):
        deltanas.open_run(tmp_path / "none")
    with pytest.raises(UserError, match="net.py does not exist; FILE must be the source"):
        deltanas.evaluate_network(tmp_path / "net.py")
    with pytest.raises(UserError, match="epochs is 0; it must be at least 1"):
        deltanas.evaluate_network("", epochs=0)
    assert not (tmp_path / "x").exists()
    assert capfd.readouterr().err == ""


def test_what_is_asked_of_a_run_is_told(searched: deltanas.Run) -> None:
    with pytest.raises(UserError, match="no best 'last'; it must be one of confirmed, final"):
        searched.best("last")
    with pytest.raises(UserError, match="confirmed no network"):
        searched.best("confirmed")
    with pytest.raises(UserError, match="no attempt c7"):
        searched.network("c7")


def test_what_the_screen_refuses_is_a_verdict() -> None:
    found = deltanas.evaluate_network("import os\n", "dataset=digits")
    assert found.verdict is Verdict.INTERFACE


def test_a_program_that_breaks_is_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from deltanas.cli import api

    def broken(words: object, complaints: Any) -> tuple[int, str]:
        complaints.write("Traceback")
        return 1, ""

    monkeypatch.setattr(api, "_searched", broken)
    with pytest.raises(api.RunError, match="ended with status 1: Traceback"):
        deltanas.run()


LONG = """
import deltanas
deltanas.run({words!r}, directory={directory!r})
"""


def test_a_search_ends_with_the_process_that_began_it(tmp_path: Path) -> None:
    words = [word for word in SMALL if "cycles" not in word] + ["protocol.cycles=60"]
    code = LONG.format(words=words, directory=str(tmp_path / "run"))
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as notebook:
        assert notebook.stdout is not None
        assert notebook.stdout.readline()  # the search has said what it is
        (search, *_) = descendants(notebook.pid)
        notebook.kill()
    try:
        wait_for(lambda: search not in parents(), 15.0)
    finally:
        with suppress(ProcessLookupError):
            os.kill(search, signal.SIGTERM)


def test_the_package_is_cheap_and_says_what_it_offers() -> None:
    code = (
        "import sys, deltanas; assert not [m for m in sys.modules if m.startswith('deltanas.')];"
        "assert {'run', 'open_run', 'evaluate_network', 'Run'} <= {*dir(deltanas)};"
        "import deltanas.evaluate; assert deltanas.evaluate.__name__ == 'deltanas.evaluate'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="'deltanas' has no attribute 'runs'"):
        deltanas.runs  # type: ignore[attr-defined]  # noqa: B018
