"""What fails around a search: one message says so, the rows are kept, and it goes on later."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.evaluate.processes import command_line, parents
from tests.test_resume import SMALL, count, finish, rows, start


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be had here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def wait_for_rows(process: subprocess.Popen[str], directory: Path, enough: int) -> None:
    deadline = time.monotonic() + 240
    while count(directory, "attempts") < enough:
        assert process.poll() is None, process.stderr
        assert time.monotonic() < deadline
        time.sleep(0.02)


def check_refusal(process: subprocess.Popen[str], *said: str) -> None:
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 2
    assert "Traceback" not in errors
    (message,) = [line for line in errors.splitlines() if line.startswith("deltanas: ")]
    for words in said:
        assert words in message


def check_rest(directory: Path, before: dict[str, list[tuple[object, ...]]]) -> None:
    """Let the run go on to its end, and see that it has kept every row."""
    finish(start(directory, f"resume={directory}"))
    after = rows(directory)
    for table, old in before.items():
        assert set(old) <= set(after[table])
    assert (len(after["attempts"]), len(after["cycles"])) == (6, 2)
    assert (directory / "summary.json").is_file()


@pytest.mark.timeout(900)
def test_a_full_disk_ends_a_run_that_goes_on_when_there_is_room(small_disk: Path):
    directory = small_disk / "run"
    process = start(directory, *SMALL, f"hydra.run.dir={directory}")
    wait_for_rows(process, directory, 2)
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    check_refusal(process, f"{directory}/run.sqlite", "full", f"resume={directory} goes on")
    before = rows(directory)
    assert len(before["attempts"]) >= 2
    ballast.unlink()
    check_rest(directory, before)


def kill_candidates(process: subprocess.Popen[str]) -> None:
    """Do what the kernel does when memory runs out, until the run ends."""
    while process.poll() is None:
        table = parents()
        zygotes = {
            child
            for child, parent in table.items()
            if parent == process.pid and b"evaluate.zygote" in command_line(child)
        }
        workers = {child for child, parent in table.items() if parent in zygotes}
        for child in (child for child, parent in table.items() if parent in workers):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


@pytest.mark.timeout(900)
def test_a_machine_on_which_everything_dies_ends_a_run_that_goes_on_later(tmp_path: Path):
    directory = tmp_path / "run"
    process = start(directory, *SMALL, f"hydra.run.dir={directory}")
    wait_for_rows(process, directory, 1)
    kill_candidates(process)
    check_refusal(process, "3 jobs in a row failed on this machine", f"resume={directory}")
    check_rest(directory, rows(directory))
