"""A supervisor whose one child takes what only the look at it can see; prints the report."""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from deltanas.evaluate import supervise
from deltanas.evaluate.channel import Limits
from deltanas.evaluate.jail.layers import prepare
from deltanas.evaluate.jail.tiers import Tier

LIMITS = Limits(timeout_s=10, memory_bytes=2**28, threads=1, max_parameters=1, max_macs=1)


def swell() -> bytes:
    """Hold twice the memory allowed, shared, as RLIMIT_DATA does not count it."""
    memory = mmap.mmap(-1, 2**29)
    for _ in range(2**9):
        memory.write(b"x" * 2**20)
    time.sleep(6 * LIMITS.timeout_s)
    return b""


def scatter() -> bytes:
    """Hold little, but so scattered that the tables which map it are large."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    number = 200 * 2**20 // mmap.PAGESIZE
    for place in range(2**44, 2**44 + number * 2**30, 2**30):
        page = libc.mmap(ctypes.c_void_p(place), ctypes.c_size_t(1), 1, 0x22, -1, 0)
        ctypes.string_at(page, 1)
    time.sleep(6 * LIMITS.timeout_s)
    return b""


def crowd() -> bytes:
    threading.stack_size(32768)
    for _ in range(200):
        threading.Thread(target=time.sleep, args=(6 * LIMITS.timeout_s,), daemon=True).start()
    time.sleep(6 * LIMITS.timeout_s)
    return b""


def burn() -> bytes:
    """Work on every core, with fewer threads than a child may have."""
    threading.stack_size(32768)
    for _ in range(16):
        threading.Thread(target=hash_on, daemon=True).start()
    time.sleep(6 * LIMITS.timeout_s)
    return b""


def hash_on() -> None:
    text = bytes(2**20)
    while True:
        hashlib.sha256(text)  # lets the other threads run


WORK: dict[str, Callable[[], bytes]] = {
    "swell": swell,
    "scatter": scatter,
    "crowd": crowd,
    "burn": burn,
}


def main() -> None:
    work = WORK[sys.argv[1]]
    jail = prepare(Tier.WEAK, gpu=work is swell)  # elsewhere a limit would come first
    limits = LIMITS if work in (swell, scatter) else replace(LIMITS, memory_bytes=2**32)
    supervise.CUDA_BYTES = 0  # there is no CUDA in it
    with supervise.run_child(work, jail, limits, cap=8) as (report, _):
        os.write(1, json.dumps(asdict(report)).encode())


if __name__ == "__main__":
    main()
