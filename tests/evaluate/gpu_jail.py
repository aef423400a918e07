"""A child in the jail for GPUs: which holes it finds, and what CUDA needs and cannot do.

With an argument, a jail that Landlock is missing from.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from deltanas.evaluate.channel import Limits
from deltanas.evaluate.jail.layers import prepare
from deltanas.evaluate.jail.selftest import holes
from deltanas.evaluate.jail.tiers import Tier
from deltanas.evaluate.supervise import run_child

LIMITS = Limits(timeout_s=60, memory_bytes=2**30, threads=1, max_parameters=1, max_macs=1)


def file_in_memory() -> None:
    """Make, fill and close one, as CUDA does at its start."""
    descriptor = os.memfd_create("cuda")
    os.ftruncate(descriptor, 4096)
    os.pwrite(descriptor, bytes(4096), 0)
    os.close(descriptor)


def name_thread() -> None:
    """Write the name of another thread, as CUDA does."""
    thread = threading.Thread(target=threading.Event().wait, args=(10,), daemon=True)
    thread.start()
    Path(f"/proc/self/task/{thread.native_id}/comm").write_text("cuda", encoding="ascii")


NEEDS: dict[str, Callable[[], object]] = {
    "a file in memory": file_in_memory,
    "naming a thread": name_thread,
    "the devices": lambda: Path("/proc/devices").read_text(encoding="ascii"),
    "its mappings": lambda: Path("/proc/self/maps").read_text(encoding="ascii"),
    "a pair of sockets": socket.socketpair,
}


def main() -> None:
    jail = prepare(Tier.STRONG, gpu=True)
    if sys.argv[1:]:
        jail = replace(jail, ruleset=None)

    def work() -> bytes:
        missing = []
        for name, need in NEEDS.items():
            try:
                need()
            except OSError as error:
                missing.append(f"{name}: {error}")
        return json.dumps({"holes": holes(jail), "missing": missing}).encode()

    with run_child(work, jail, LIMITS, cap=4096) as (report, output):
        sys.stdout.write(bytes(output).decode() or str(report))


if __name__ == "__main__":
    main()
