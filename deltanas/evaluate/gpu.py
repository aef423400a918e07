"""GPUs that candidates train on, found without CUDA: a process that has started it cannot fork."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from deltanas.evaluate.tiers import JailError, Tier

LANES_PER_GPU = 4  # candidates at once on one GPU: most are too small to fill it
_NODE = re.compile(r"nvidia\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """What one lane has of a GPU."""

    name: str  # as CUDA_VISIBLE_DEVICES has it: a number or an identifier
    share: float  # of its memory


def visible() -> list[str]:
    """Return the names of the GPUs that this process may use."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    nodes = [each for each in Path("/dev").glob("nvidia*") if _NODE.fullmatch(each.name)]
    return [str(number) for number in range(len(nodes))]


def shares(names: list[str], lanes: int, tier: Tier) -> list[Gpu]:
    """Deal GPUs out to lanes in turn. Raises JailError where no candidate can reach one."""
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
    together = -(-lanes // len(names))  # on the GPU that has the most
    return [Gpu(name=names[lane % len(names)], share=1 / together) for lane in range(lanes)]
