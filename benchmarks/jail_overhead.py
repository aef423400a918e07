"""What the layers of the jail cost one child: fork to reaped, with them and without.

    python benchmarks/jail_overhead.py [--rounds 200]

One process that holds torch, as a zygote does, forks empty children in turns: bare ones, ones in
each tier, and bare ones again, which is the noise. Prints medians in ms, and ratios to bare.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from results import write

from deltanas.evaluate.channel import Limits
from deltanas.evaluate.jail import huge_pages
from deltanas.evaluate.jail.layers import Jail, enter_jail, prepare
from deltanas.evaluate.jail.tiers import JailError, Tier, choose

LIMITS = Limits(timeout_s=60, memory_bytes=2**30, threads=1, max_parameters=1, max_macs=1)


def one_child(enter: Callable[[int, int], None]) -> tuple[float, float]:
    """Return the wall time of a child from fork to reaped, and its and the kernel's CPU time."""
    parent = os.getpid()
    reader, writer = os.pipe()
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        try:
            enter(parent, writer)
            os._exit(0)
        finally:
            os._exit(1)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - began
    os.close(reader)
    os.close(writer)
    if status:
        raise RuntimeError(f"a child ended with status {status}")
    return seconds, usage.ru_utime + usage.ru_stime


def _enter(jail: Jail, parent: int, answer: int) -> None:
    enter_jail(jail, parent=parent, answer=answer, limits=LIMITS)


def tiers() -> dict[str, Callable[[int, int], None]]:
    """Return how a child enters each tier that this machine can build."""
    found: dict[str, Callable[[int, int], None]] = {"bare": lambda parent, answer: None}
    for tier in Tier:
        try:
            jail = prepare(choose(tier).tier)
        except JailError:
            continue
        found[tier] = partial(_enter, jail)
    found["bare again"] = found["bare"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.ones(8).sum()
    os.environ.clear()  # as a zygote does
    ways = tiers()
    gc.collect()
    gc.freeze()
    huge_pages.collapse()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, enter in ways.items():
            times[name].append(one_child(enter))
    bare = [statistics.median(each) for each in zip(*times["bare"], strict=True)]
    print(f"{'':<12}{'wall ms':>9}{'ratio':>7}{'CPU ms':>9}{'ratio':>7}   median of {rounds}")
    figures: dict[str, dict[str, float]] = {}
    for name, found in times.items():
        wall, cpu = (statistics.median(each) for each in zip(*found, strict=True))
        figures[name] = {"wall_ms": 1e3 * wall, "ratio": wall / bare[0], "cpu_ms": 1e3 * cpu}
        print(
            f"{name:<12}{wall * 1e3:>9.2f}{wall / bare[0]:>7.3f}"
            f"{cpu * 1e3:>9.2f}{cpu / bare[1]:>7.3f}"
        )
    print(write("jail_overhead", {"rounds": rounds, "tiers": figures}))


if __name__ == "__main__":
    main()
