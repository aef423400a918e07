"""The benchmarks: every script starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
