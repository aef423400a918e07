"""README: the table of speed is what the newest results say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_table_of_speed_is_what_the_summary_prints() -> None:
    summary = [sys.executable, str(ROOT / "benchmarks" / "summary.py")]
    printed = subprocess.run(summary, capture_output=True, text=True, check=True).stdout
    section = (ROOT / "README.md").read_text().partition("\n## Speed\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    assert table == printed.splitlines()
