"""How much memory another worker takes on a large image set, which all of them share.

    python benchmarks/worker_memory.py [--workers 1 2 4]

50,000 random images of 32 x 32 x 3 (154 MB). For each number of workers an executor trains one
network a worker at the same time. Read from /proc/PID/smaps_rollup (Linux) at the moment when
they and their jailed children hold most: the proportional set size (PSS), which counts a page of
n processes as 1/n in each, so that sums count it once; and the pages that no other process has.
Prints MB by role, and by how much all grow with a worker. The goal is growth without the images.
"""

from __future__ import annotations

import argparse
import os
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from results import write

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.evaluate import ImageData, LocalExecutor
from deltanas.records import Job, Verdict

IMAGES, SIZE, CHANNELS, CLASSES = 50_000, 32, 3, 10
SPLITS = {"train": 10_000, "val": 5_000, "test": 35_000}
ROLES = ("zygote", "workers", "children")  # each forked from the one before
POLL_S = 0.05


def random_images() -> ImageData:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (IMAGES, CHANNELS, SIZE, SIZE), dtype=np.uint8)
    bounds = np.cumsum(list(SPLITS.values()))[:-1]
    parts: dict[str, Any] = {}
    for split, rows in zip(SPLITS, np.split(np.arange(IMAGES), bounds), strict=True):
        parts |= {f"{split}_rows": rows, f"{split}_labels": rng.integers(0, CLASSES, len(rows))}
    return ImageData(name="random", pixels=pixels, num_classes=CLASSES, **parts)


def family() -> dict[str, list[int]]:
    """Return the processes of this one's executor by role."""
    heirs: defaultdict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        heirs[parent].append(int(path.parent.name))
    generation, found = [os.getpid()], {}
    for role in ROLES:
        generation = [pid for parent in generation for pid in heirs[parent]]
        found[role] = generation
    return found


def memory(pid: int) -> tuple[float, float]:
    """Return PSS and private pages in MB; 0 where the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0.0, 0.0
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    own = kib["Private_Clean"] + kib["Private_Dirty"]
    return kib["Pss"] * 1024 / 1e6, own * 1024 / 1e6


def measure(images: ImageData, workers: int) -> dict[str, Any]:
    """Return the MB of all roles when they and `workers` children held most."""
    archive = BuiltinArchive().baselines(dataset="cifar10", max_image_size=SIZE, max_lines=400)
    (lenet,) = (one for one in archive if one.baseline_id == "lenet")
    jobs = [
        Job(job_id=f"lenet{number}", code=lenet.code, recipe=lenet.recipe, seed=number)
        for number in range(workers)
    ]
    held: list[dict[str, tuple[float, float]]] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_S):
            found = family()
            if len(found["children"]) == workers:
                sums = {
                    role: np.sum([memory(pid) for pid in found[role]], axis=0) for role in ROLES
                }
                held.append({role: (each[0], each[1]) for role, each in sums.items()})

    with LocalExecutor(images, workers=workers, max_parameters=10**9, max_macs=10**12) as executor:
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            verdicts = {each.verdict for each in executor.map(jobs)}
        finally:
            ended.set()
            watcher.join()
    if verdicts != {Verdict.TRAINED} or not held:
        raise SystemExit(f"{workers} workers: {verdicts}, seen together {len(held)} times")
    most = max(held, key=lambda sums: sum(pss for pss, _ in sums.values()))
    return {
        "workers": workers,
        "pss_mb": {role: round(pss, 1) for role, (pss, _) in most.items()},
        "private_mb": {role: round(own, 1) for role, (_, own) in most.items()},
        "all_pss_mb": round(sum(pss for pss, _ in most.values()), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    asked = parser.parse_args()
    images = random_images()
    size = images.pixels.nbytes / 1e6
    print(f"images {size:.0f} MB; PSS in MB\n{'workers':>8}{'zygote':>9}{'workers':>9}", end="")
    print(f"{'children':>10}{'in all':>9}{'private to all children':>25}")
    rows = []
    for workers in sorted(asked.workers):
        row = measure(images, workers)
        rows.append(row)
        pss = row["pss_mb"]
        print(
            f"{workers:>8}{pss['zygote']:>9.0f}{pss['workers']:>9.0f}{pss['children']:>10.0f}"
            f"{row['all_pss_mb']:>9.0f}{row['private_mb']['children']:>25.0f}",
            flush=True,
        )
    figures: dict[str, Any] = {"images_mb": round(size, 1), "rows": rows}
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        more = last["workers"] - first["workers"]
        figures["growth_mb_a_worker"] = round((last["all_pss_mb"] - first["all_pss_mb"]) / more, 1)
        print(
            f"growth a worker: {figures['growth_mb_a_worker']} MB, of which children's own state;"
            f" the images are {size:.0f} MB"
        )
    print(write("worker_memory", figures))


if __name__ == "__main__":
    main()
