"""GPUs that candidates train on, found without CUDA: a process that has started it cannot fork.

Every child starts CUDA anew, inside the jail: a context does not survive a fork, and one that was
started before the jail would bring threads along that stand outside of it.
"""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path

from deltanas.evaluate.jail.tiers import JailError, Tier

_NODE = re.compile(r"nvidia\d+")
_NEEDED = ("nvidiactl", "nvidia-uvm")  # besides a card's own node; a child cannot make them


def visible(tier: Tier, nodes: Path = Path("/dev")) -> list[dict[str, str]]:
    """Return for each GPU that candidates may use the environment in which CUDA sees it alone.

    `nodes` is the folder of device nodes. Raises JailError where there is no GPU, or none that a
    candidate could reach.
    """
    found = [each for each in nodes.glob("nvidia*") if _NODE.fullmatch(each.name)]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(len(found)))))
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    names = list(takewhile(lambda name: not name.startswith("-"), names))  # as CUDA reads them
    if not names or not found:
        raise JailError(
            f"executor.device is cuda, but no NVIDIA GPU can be seen here ({nodes}/nvidia0,"
            " CUDA_VISIBLE_DEVICES); use executor.device=cpu"
        )
    if missing := [name for name in _NEEDED if not (nodes / name).exists()]:
        raise JailError(
            f"executor.device is cuda, but {nodes} has no {' and no '.join(missing)}; any program"
            " that uses CUDA makes them, as does `nvidia-modprobe -u -c=0`"
        )
    if tier is Tier.NOOPEN:
        raise JailError(
            "executor.device is cuda, but the jail noopen lets no candidate open a GPU; use"
            " executor.device=cpu, or a kernel with Landlock"
        )
    order = os.environ.get("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    return [{"CUDA_VISIBLE_DEVICES": name, "CUDA_DEVICE_ORDER": order} for name in names]
