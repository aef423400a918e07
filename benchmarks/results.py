"""Where benchmarks leave their figures: benchmarks/results/NAME.json, with what they depend on."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MEASURED = ("deltanas", "conf", "benchmarks")  # what figures depend on; texts may change meanwhile
PACKAGES = ("torch", "lightning", "transformers", "peft", "llguidance", "datasketch", "numpy")


def commit(root: Path = ROOT) -> str:
    """Return the commit of a checkout, marked where `MEASURED` differs from it besides results.

    "" without git.
    """
    try:
        found, changed = (
            subprocess.run(
                ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
            ).stdout.strip()
            for arguments in (
                ["rev-parse", "--short=12", "HEAD"],
                ["status", "--porcelain", "--", *MEASURED, ":!benchmarks/results"],
            )
        )
    except FileNotFoundError:
        return ""
    return f"{found}-dirty" if changed else found


# Of the start of a script: what is edited or committed while it runs is not measured.
COMMIT = commit()


def read(name: str) -> dict[str, Any]:
    """Return the figures of the newest results; none where there are no results."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return {}
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return figures


def write(name: str, figures: dict[str, Any]) -> Path:
    """Write figures with machine, load, versions, commit and date; return the file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    found = {"name": name, "machine": machine(), "versions": versions(), "commit": COMMIT}
    found["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    path.write_text(json.dumps({**found, "figures": figures}, indent=2, allow_nan=False) + "\n")
    return path


def machine() -> dict[str, Any]:
    """Return processor, cores, GPU if any, and the load of the last 1, 5 and 15 minutes."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")  # Linux
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": [round(load, 1) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Return the versions that figures depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
