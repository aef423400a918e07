"""A reader of a run leaves its folder as it is: written, killed or finished."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deltanas.record import reading
from deltanas.record.store import RunStore, RunStoreError

WRITER = """
import sys
from pathlib import Path
from deltanas.record.store import RunStore
with RunStore(Path(sys.argv[1])) as store:
    store.set_meta("seed", 7)
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that writes a run, and waits."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "run.sqlite")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        yield process
        process.kill()


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()
    }


def seed_of(directory: Path) -> object:
    with RunStore(directory / "run.sqlite", read_only=True) as store:
        return store.meta("seed")


@pytest.mark.parametrize("state", ["written", "killed", "finished", "copied without -shm"])
def test_reading_changes_nothing(
    state: str, writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    if state == "finished":
        writer.communicate()
    elif state != "written":
        writer.kill()
        writer.wait()
    if state == "copied without -shm":
        (tmp_path / "run.sqlite-shm").unlink()
    before = contents(tmp_path)
    assert ("run.sqlite-wal" in before) is (state != "finished")
    assert seed_of(tmp_path) == 7
    assert contents(tmp_path) == before


def test_a_writer_that_ends_while_a_reader_opens_is_no_fault(
    writer: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = Path.exists

    def and_then_it_ends(self: Path) -> bool:
        found = exists(self)
        if self.name.endswith("-shm") and writer.returncode is None:
            writer.communicate()
        return found

    monkeypatch.setattr(Path, "exists", and_then_it_ends)
    assert seed_of(tmp_path) == 7


def test_a_writer_that_begins_while_a_reader_reads_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.sqlite"
    with RunStore(file) as store:
        store.set_meta("seed", 7)
    found = reading.address
    with ExitStack() as writers:

        def and_it_begins(path: Path, options: str) -> str:
            if "immutable" in options:
                monkeypatch.setattr(reading, "address", found)
                writers.enter_context(RunStore(file)).set_meta("seed", 8)
            return found(path, options)

        monkeypatch.setattr(reading, "address", and_it_begins)
        assert seed_of(tmp_path) == 8


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "run.sqlite").touch()
    with pytest.raises(RunStoreError, match=r"run\.sqlite is empty: the run has not begun"):
        seed_of(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.sqlite"]
