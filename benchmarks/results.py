"""Where a benchmark's figures go: results/NAME.json, with the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("results")
PACKAGES = ("torch", "lightning", "transformers", "peft", "llguidance", "numpy")


def machine() -> dict[str, Any]:
    """Return processor, cores, memory in GiB, load, and what computes beside them."""
    import torch

    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "load": [round(each, 2) for each in os.getloadavg()],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def write(name: str, figures: Mapping[str, Any]) -> None:
    """Replace the results of one benchmark; figures are plain JSON values with units in names."""
    git = ["git", "-C", str(FOLDER.parent), "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit or None,
        "machine": machine(),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
        "figures": figures,
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print(f"\n{path}")
