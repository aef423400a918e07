"""The table of speed is what the newest results say, and so are the figures that README takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_table_of_speed_is_what_the_summary_prints() -> None:
    summary = [sys.executable, str(ROOT / "benchmarks" / "summary.py")]
    printed = subprocess.run(summary, capture_output=True, text=True, check=True).stdout
    page = (ROOT / "docs" / "speed.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert table == printed.splitlines()


def test_the_figures_of_speed_in_readme_stand_in_the_table() -> None:
    table = (ROOT / "docs" / "speed.md").read_text()
    section = (ROOT / "README.md").read_text().partition("\n## Speed\n")[2].partition("\n## ")[0]
    figures = re.findall(r"\*\*(.+?)\*\*", section)
    assert figures
    assert [each for each in figures if each not in table] == []
