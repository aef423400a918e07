"""What programs write reaches whoever reads it, and a reader that is not there ends none."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deltanas.cli.exits import ending
from deltanas.cli.streams import emit

WriteRun = Callable[..., Path]


def report(shell: str, path: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = f"{sys.executable} -m deltanas.cli.report '{path}' {shell}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        check=False,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environment},
    )


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"-1.5 -> 1.0 rho 0.5 caf\\xe9 f\xff"),
        ("latin-1", b"-1.5 -> 1.0 rho 0.5 caf\xe9 f\xff"),
        ("utf-8", "−1.5 → 1.0 ρ 0.5 café f".encode() + b"\xff"),
    ],
)
def test_no_sign_is_lost_in_any_encoding(
    encoding: str, shown: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert ending("deltanas-x", lambda: emit("−1.5 → 1.0 ρ 0.5 café f\udcff")) == 0
    assert written.getvalue() == shown


@pytest.mark.parametrize("shell", ["| head -1", "| true", ">&-", "2>&1 | true"])
def test_a_reader_that_left_ends_nothing(shell: str, tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "sweep/0")
    done = report(shell, tmp_path / "sweep")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "sweep/comparison.html").is_file()


def test_a_full_device_is_one_sentence(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "sweep/0")
    done = report("> /dev/full", tmp_path / "sweep")
    assert done.returncode == 2
    assert done.stderr.decode() == "deltanas-report: [Errno 28] No space left on device\n"


def test_a_folder_that_is_no_utf8_and_a_terminal_that_is_neither(
    tmp_path: Path, write_run: WriteRun
) -> None:
    folder = tmp_path / "f\udcff"
    write_run(folder / "0")
    done = report("", folder, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[-1].endswith(b"f\xff/comparison.html")
