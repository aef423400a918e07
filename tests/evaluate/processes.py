"""The process table, read from /proc: evidence that tests look for outside the jail."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def parents() -> dict[int, int]:
    """Return the parent of every living process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # ended since the listing
        if state not in "ZX":
            found[int(stat.parent.name)] = int(parent)
    return found


def descendants(ancestor: int) -> list[int]:
    """Return the living descendants of a process, parents before their children."""
    table = parents()
    found = [ancestor]
    for process in found:
        found += [child for child, parent in table.items() if parent == process]
    return found[1:]


def lanes() -> list[list[int]]:
    """Return each zygote of this process with its descendants: [zygote, worker, child]."""
    return [
        [process, *descendants(process)]
        for process, parent in parents().items()
        if parent == os.getpid() and b"deltanas.evaluate.zygote" in command_line(process)
    ]


def command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_for(look: Callable[[], T], patience_s: float = 60.0) -> T:
    """Return what `look` returns once that is true. Raises TimeoutError."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.005)
    raise TimeoutError(f"{look} stayed false for {patience_s:g} s")


def memory_holds(process: int, *needles: bytes) -> list[bool]:
    """Tell for each needle whether it is in the writable memory of a process.

    It is alive, so what it gives back while this looks is looked for again.
    """
    for tries_left in (4, 3, 2, 1, 0):
        try:
            return _scan(process, needles)
        except OSError:
            if not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def _scan(process: int, needles: tuple[bytes, ...]) -> list[bool]:
    found = [False] * len(needles)
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            addresses, rights = line.split()[:2]
            first, last = (int(address, 16) for address in addresses.split("-"))
            if not rights.startswith("rw"):
                continue
            memory.seek(first)
            held = memory.read(last - first)
            found = [old or needle in held for old, needle in zip(found, needles, strict=True)]
    return found
