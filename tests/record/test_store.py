"""The run's SQLite file: what goes in comes out, whole or not at all."""

from __future__ import annotations

import json
import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltanas.record.schema import VERSION
from deltanas.record.store import RunStore, RunStoreError
from deltanas.records import (
    Attempt,
    Baseline,
    CycleSummary,
    Finalist,
    Origin,
    Purpose,
    Retraining,
    Stage,
    Verdict,
)
from tests.run_fixtures import VERSION_5, make_older
from tests.run_fixtures import used as as_used

MakeAttempt = Callable[..., Attempt]
REPLIES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
RATES = st.none() | st.floats(0, 1)
AGAIN = Retraining(
    network_id="c00-s000",
    dataset="digits",
    purpose=Purpose.CONFIRM,
    number=1,
    seed=2**62,
    verdict=Verdict.TRAINED,
    validation_accuracy=0.75,
    test_accuracy=0.5,
    seconds=0.25,
)
CONTRACT = [
    "attempt_id",
    "cycle",
    "slot",
    "parent_id",
    "dataset",
    "verdict",
    "reason",
    "prompt",
    "reply",
    "delta",
    "code",
    "delta_lines",
    "delta_tokens",
    "prompt_tokens",
    "proxy_accuracy",
    "first_epoch_accuracy",
    "gain",
    "seed",
]


@settings(max_examples=20, deadline=None)
@given(reply=REPLIES, rate=RATES, count=st.none() | st.integers(0, 2**63 - 1), kept=st.booleans())
def test_attempts_come_back_equal(
    make_attempt: MakeAttempt, reply: str, rate: float | None, count: int | None, kept: bool
) -> None:
    attempt = make_attempt(
        2, 7, reply=reply, proxy_accuracy=rate, macs=count, admitted=kept, reused_from=reply
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.sqlite"
        with RunStore(path) as store:
            store.append(attempt)
        with RunStore(path, read_only=True) as store:
            assert store.attempts() == [attempt]
            assert isinstance(store.attempts()[0].admitted, bool)


def test_cycles_and_finalists_come_back_equal(
    tmp_path: Path,
    fill: Callable[[RunStore], None],
    cycles: list[CycleSummary],
    finalists: list[Finalist],
) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        fill(store)
        assert store.cycles() == cycles
        assert store.finalists() == finalists


def test_repeats_come_back_by_id_beside_the_finalists(
    tmp_path: Path, finalists: list[Finalist]
) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        store.add_finalist(finalists[0])
        for finalist in reversed(finalists):
            store.add_repeat(finalist)
        assert store.repeats() == sorted(finalists, key=lambda finalist: finalist.attempt_id)
        assert store.finalists() == finalists[:1]
        with pytest.raises(RunStoreError, match="refuses repeat c00-s000: UNIQUE"):
            store.add_repeat(finalists[0])


def test_columns_keep_the_contract(tmp_path: Path) -> None:
    RunStore(tmp_path / "run.sqlite").close()
    connection = sqlite3.connect(tmp_path / "run.sqlite")
    columns = [row[1] for row in connection.execute("PRAGMA table_info(attempts)")]
    connection.close()
    assert set(CONTRACT) <= set(columns)


def test_a_second_attempt_of_the_same_id_is_refused(
    tmp_path: Path, make_attempt: MakeAttempt
) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        store.append(make_attempt(1, 2))
        with pytest.raises(RunStoreError, match=r"refuses attempt c01-s002: UNIQUE"):
            store.append(make_attempt(1, 2))
        with pytest.raises(RunStoreError, match=r"attempts\.cycle, attempts\.slot"):
            store.append(make_attempt(1, 2, attempt_id="other"))
        assert [(a.cycle, a.slot) for a in store.attempts()] == [(1, 2)]


def test_an_accuracy_needs_the_verdict_trained(tmp_path: Path, make_attempt: MakeAttempt) -> None:
    with (
        RunStore(tmp_path / "run.sqlite") as store,
        pytest.raises(RunStoreError, match="CHECK constraint failed"),
    ):
        store.append(make_attempt(verdict=Verdict.DIVERGED, proxy_accuracy=0.5))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused_instead_of_stored_as_not_measured(
    tmp_path: Path, make_attempt: MakeAttempt, value: float
) -> None:
    with (
        RunStore(tmp_path / "run.sqlite") as store,
        pytest.raises(RunStoreError, match=f"gain is {value}; it must be finite"),
    ):
        store.append(make_attempt(gain=value))


def test_lone_surrogates_become_replacement_characters(
    tmp_path: Path, make_attempt: MakeAttempt
) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        store.append(make_attempt(reply="a\ud800b\U0001f600"))
        assert store.attempts()[0].reply == "a\ufffdb\U0001f600"


def test_attempt_and_the_baseline_it_becomes_are_one_transaction(
    tmp_path: Path, make_attempt: MakeAttempt, baseline: Baseline
) -> None:
    joins = replace(baseline, baseline_id="c00-s000", parent_id="plain-a")
    joined = as_used(joins, origin=Origin.ADMITTED, first_epoch_accuracy=0.5)
    with RunStore(tmp_path / "run.sqlite") as store:
        store.add_baseline(as_used(baseline, first_epoch_accuracy=0.25))
        with pytest.raises(RunStoreError, match=r"baselines\.baseline_id"):
            store.append(make_attempt(0, 1, admitted=True), joins=as_used(baseline))
        assert store.attempts() == []
        store.append(make_attempt(0, 0, admitted=True), joins=joined)
        used = store.baselines()
    assert [item.baseline for item in used] == [baseline, joins]
    assert [item.origin for item in used] == [Origin.ARCHIVE, Origin.ADMITTED]
    assert [item.first_epoch_accuracy for item in used] == [0.25, 0.5]


def test_a_baseline_that_failed_says_why(tmp_path: Path, baseline: Baseline) -> None:
    failed = as_used(
        replace(baseline, proxy_accuracy=None), verdict=Verdict.SHAPE, reason="10 of 9 classes"
    )
    with RunStore(tmp_path / "run.sqlite") as store:
        store.add_baseline(failed)
        assert store.baselines() == [failed]
        with pytest.raises(RunStoreError, match="CHECK constraint failed"):
            store.add_baseline(as_used(replace(baseline, baseline_id="b"), verdict=Verdict.SHAPE))


VERSION_4 = """
DROP TABLE baselines; DROP TABLE cycles;
CREATE TABLE baselines (
  baseline_id TEXT NOT NULL, dataset TEXT NOT NULL, family TEXT NOT NULL, code TEXT NOT NULL,
  recipe TEXT NOT NULL, parent_id TEXT, proxy_accuracy REAL, first_epoch_accuracy REAL,
  source TEXT NOT NULL CHECK (source IN ('archive', 'admitted')),
  PRIMARY KEY (baseline_id, dataset)) STRICT;
INSERT INTO baselines VALUES
  ('good', 'digits', 'f', 'c', '{recipe}', NULL, 0.5, 0.25, 'archive'),
  ('bad', 'digits', 'f', 'c', '{recipe}', NULL, NULL, NULL, 'archive');
CREATE TABLE cycles (
  cycle INTEGER NOT NULL, attempted INTEGER NOT NULL, valid INTEGER NOT NULL,
  useful INTEGER NOT NULL, admitted INTEGER NOT NULL, infrastructure_failures INTEGER NOT NULL,
  mean_first_epoch_accuracy REAL, best_first_epoch_accuracy REAL, mean_gain REAL,
  mean_delta_lines REAL, mean_delta_tokens REAL, tune_loss_before REAL, tune_loss_after REAL,
  adapter_kept INTEGER, seconds_baselines REAL NOT NULL, seconds_generate REAL NOT NULL,
  seconds_screen REAL NOT NULL, seconds_evaluate REAL NOT NULL, seconds_tune REAL NOT NULL,
  seconds_record REAL NOT NULL, PRIMARY KEY (cycle)) STRICT;
INSERT INTO cycles VALUES
  (0, 2, 1, 0, 0, 0, 0.5, 0.5, NULL, 6.0, NULL, NULL, NULL, NULL,
   1.0, 2.0, 3.0, 0.1 + 0.2, 5.0, 6.0);
UPDATE meta SET value = '4' WHERE key = 'schema_version';
"""


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_of_version_4_is_read_and_brought_up_to_date(
    tmp_path: Path, make_attempt: MakeAttempt, baseline: Baseline, read_only: bool
) -> None:
    file = tmp_path / "run.sqlite"
    with RunStore(file) as store:
        store.append(make_attempt())
        executor = {"name": "local", "device": "cpu"}
        store.set_meta("config", {"executor": executor, "proposer": "random_edit"})
    recipe = json.dumps(asdict(baseline.recipe))
    make_older(file, VERSION_5 + VERSION_4.replace("{recipe}", recipe))
    before = file.read_bytes()
    with RunStore(file, read_only=read_only) as store:
        run = store.read()
    assert run.attempts == (make_attempt(),)
    assert run.meta["config"] == {
        "executor": {"device": "cpu"},
        "proposer": {"name": "random_edit"},
    }
    good, bad = run.baselines
    assert (good.verdict, good.baseline.proxy_accuracy, good.reason) == (Verdict.TRAINED, 0.5, "")
    assert (bad.verdict, bad.baseline.proxy_accuracy) == (None, None)
    assert bad.reason == "not recorded by the version that made this run"
    (cycle,) = run.cycles
    assert cycle.seconds[Stage.evaluate] == 0.1 + 0.2  # to the last digit
    assert cycle.seconds[Stage.record] == 6.0
    assert (file.read_bytes() == before) is read_only
    with RunStore(file) as store:
        assert store.read() == run  # the schema version too, which is part of what it holds


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_of_version_5_is_read_and_takes_what_is_new(
    tmp_path: Path, make_attempt: MakeAttempt, baseline: Baseline, read_only: bool
) -> None:
    file = tmp_path / "run.sqlite"
    used = as_used(baseline)
    with RunStore(file) as store:
        store.append(make_attempt(), used)
        store.set_meta("config", {"proposer": "llm", "seed": 3})
    make_older(file)
    with RunStore(file, read_only=read_only) as store:
        run = store.read()
        assert (run.attempts, run.baselines) == ((make_attempt(),), (used,))
        assert store.meta("config") == {"proposer": {"name": "llm"}, "seed": 3}
    with RunStore(file) as store:
        assert store.meta("config") == {"proposer": {"name": "llm"}, "seed": 3}
        store.add_retraining(AGAIN)
        assert store.retrainings() == [AGAIN]


def test_a_fresh_seed_is_spent_once(tmp_path: Path) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        store.add_retraining(AGAIN)
        store.add_retraining(replace(AGAIN, purpose=Purpose.RACE))
        with pytest.raises(RunStoreError, match="refuses confirm 1 of c00-s000: UNIQUE"):
            store.add_retraining(AGAIN)


KILLED = """
import os, sys
sys.path[:0] = {path!r}
from dataclasses import replace
from pathlib import Path
from deltanas.record.store import RunStore
from deltanas.record.rows import to_row
from deltanas.records import Attempt
store = RunStore(Path({file!r}))
first = Attempt(**{values!r})
store.append(first)
with store._transaction("the one in flight"):
    store._insert("attempts", to_row(replace(first, attempt_id="late", slot=1)))
    os.kill(os.getpid(), 9)
"""


def test_a_killed_run_loses_only_the_attempt_in_flight(
    tmp_path: Path, make_attempt: MakeAttempt
) -> None:
    file = tmp_path / "run.sqlite"
    first = make_attempt(0, 0)
    values = asdict(first) | {"verdict": "trained", "loop": "trusted"}
    code = KILLED.format(path=sys.path, file=str(file), values=values)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == -9, done.stderr
    with RunStore(file) as store:
        assert store.attempts() == [first]
        store.append(make_attempt(0, 1))
        assert [(a.cycle, a.slot) for a in store.attempts()] == [(0, 0), (0, 1)]


WRITER = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from deltanas.record.store import RunStore
store = RunStore(Path({file!r}))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    file = tmp_path / "run.sqlite"
    code = WRITER.format(path=sys.path, file=str(file))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        owner = f"process {writer.pid} on {platform.node()}"
        with pytest.raises(RunStoreError, match=f"is being written by {re.escape(owner)};"):
            RunStore(file)
        with RunStore(file, read_only=True) as store:
            assert store.attempts() == []
        writer.communicate("")
    RunStore(file).close()


def test_another_schema_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with RunStore(path) as store:
        store.set_meta("schema_version", 99)
    message = f"schema version 99; this program reads version {VERSION}"
    with pytest.raises(RunStoreError, match=message):
        RunStore(path)


def test_files_that_are_no_run_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("not a database, but long enough to have a header of its own " * 10)
    with pytest.raises(RunStoreError, match="file is not a database"):
        RunStore(text)
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE songs (title TEXT)")
    other.close()
    with pytest.raises(RunStoreError, match="schema version None"):
        RunStore(tmp_path / "other.sqlite")
    with pytest.raises(RunStoreError, match="no run at"):
        RunStore(tmp_path / "missing.sqlite", read_only=True)
    with pytest.raises(RunStoreError, match="cannot hold a run: No such file"):
        RunStore(tmp_path / "missing" / "run.sqlite")


def test_meta_holds_json_and_none_where_nothing_was_set(tmp_path: Path) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        store.set_meta("config", {"seed": 1})
        store.set_meta("config", {"seed": 2, "llm": ["tiny"]})
        assert store.meta("config") == {"seed": 2, "llm": ["tiny"]}
        assert store.meta("versions") is None


def test_a_folder_may_have_any_bytes_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "caf\udce9 #?%"
    folder.mkdir()
    for read_only in (False, True):
        with RunStore(folder / "run.sqlite", read_only=read_only) as store:
            assert store.attempts() == []
    assert {path.name for path in folder.iterdir()} >= {"run.sqlite", "run.lock"}
