"""Figures of a benchmark as a file, with what they depend on: machine, versions, commit, load."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("results")
PACKAGES = ("torch", "transformers", "peft", "lightning", "bitsandbytes", "numpy", "datasketch")


def write(name: str, figures: dict[str, Any]) -> None:
    """Write `benchmarks/results/NAME.json`, in place of an older one."""
    FOLDER.mkdir(exist_ok=True)
    found = {
        "figures": figures,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "machine": _machine(),
        "load": [round(each, 2) for each in os.getloadavg()],  # of 1, 5 and 15 minutes
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n")


def _machine() -> str:
    info = Path("/proc/cpuinfo")  # Linux
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    kind = names[0] if names else platform.processor()
    return f"{kind}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*words: str) -> str:
    command = ["git", "-C", str(FOLDER.parent), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
