"""GPUs that candidates train on, found without CUDA: a process that has started it cannot fork.

Every child starts CUDA anew, inside the jail: a context does not survive a fork, and one that was
started before the jail would bring threads along that stand outside of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from deltanas.evaluate.tiers import JailError, Tier

WORKERS_PER_GPU = 4  # candidates at once: most are too small to fill one
_NODE = re.compile(r"nvidia\d+")


def visible(tier: Tier) -> list[str]:
    """Return the names, as in CUDA_VISIBLE_DEVICES, of the GPUs that candidates may use.

    Raises JailError where there is none, or none that a candidate could reach.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        nodes = [each for each in Path("/dev").glob("nvidia*") if _NODE.fullmatch(each.name)]
        names = [str(number) for number in range(len(nodes))]
    else:
        names = [name.strip() for name in chosen.split(",") if name.strip()]
    if not names:
        raise JailError(
            "executor.device is cuda, but no NVIDIA GPU can be seen here (/dev/nvidia0,"
            " CUDA_VISIBLE_DEVICES); use executor.device=cpu"
        )
    if tier is Tier.NOOPEN:
        raise JailError(
            "executor.device is cuda, but the jail noopen lets no candidate open a GPU; use"
            " executor.device=cpu, or a kernel with Landlock"
        )
    return names
