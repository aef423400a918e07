"""The benchmarks: every script starts, and results name the commit that they measured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.results import commit

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
ELSEWHERE = {"authors_worker.py"}  # runs where LEMUR's package is installed
# One process runs them all, so that torch is imported once.
ASK_FOR_HELP = """
import runpy, sys
for path in sys.argv[1:]:
    sys.argv = [path, "--help"]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{path} ended with {end.code}") from end
"""


def test_every_script_imports_and_gives_help() -> None:
    scripts = [path for path in sorted(BENCHMARKS.glob("*.py")) if path.name not in ELSEWHERE]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{BENCHMARKS}"}
    found = subprocess.run(
        [sys.executable, "-c", ASK_FOR_HELP, *map(str, scripts)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    programs = [path.name for path in scripts if "ArgumentParser" in path.read_text()]
    assert [line.split()[1] for line in found.stdout.splitlines() if "usage:" in line] == programs


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A committed checkout with a measured file, a result and a text."""
    for name in ("deltanas/search.py", "benchmarks/results/speed.json", "README.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "dirty"),
    [
        ("deltanas/search.py", True),
        ("conf/new.yaml", True),
        ("benchmarks/results/speed.json", False),
        ("README.md", False),
    ],
)
def test_a_commit_is_dirty_where_what_is_measured_differs(
    checkout: Path, name: str, dirty: bool
) -> None:
    path = checkout / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("changed")
    assert commit(checkout).endswith("-dirty") is dirty
    assert len(commit(checkout).removesuffix("-dirty")) == 12
