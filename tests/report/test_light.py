"""The store and the figures load without the libraries that only views need."""

from __future__ import annotations

import subprocess
import sys

LIGHT = [
    "record.store",
    "record.summary",
    "report.metrics",
    "report.keys",
    "report.ranking",
    "report.tracker",
    "report.wandb_tracker",
    "report.dashboard",
    "report.bars",
    "report.console",
    "report.status",
    "report.run.page",
    "report.run.plots",
    "report.comparison.plots",
    "cli.dashboard",
    "cli.report",
    "cli.search",
    "cli.status",
    "cli.terminal",
]
HEAVY = ["torch", "lightning", "matplotlib", "wandb", "wandb_workspaces", "jinja2", "scipy"]


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    imports = "; ".join(f"import deltanas.{name}" for name in LIGHT)
    code = f"import sys; sys.path[:0] = {sys.path!r}; {imports}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & set(HEAVY) == set()
