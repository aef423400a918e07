"""What the archive costs: import, size, queries, novelty, and the start of the program.

    python benchmarks/archive.py WHEEL [--rounds 3] [--networks 100000]

Imports LEMUR's wheel (`pip download --no-deps nn-dataset==2.1.2`) into a temporary folder in
this process alone, and prints each figure beside its goal. Times of the import are CPU time, on
a quiet machine seconds; those of queries are the shortest of all rounds.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from results import write

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.archive.lemur import DATASETS, LemurArchive
from deltanas.archive.lemur_import import import_wheel
from deltanas.archive.sampling import sample_baselines
from deltanas.screen.novelty import NoveltyIndex

GOALS = {
    "import_cpu_s": 20.0,
    "file_mb": 130.0,
    "sample_50_ms": 20.0,
    "best_of_a_dataset_ms": 20.0,
    "novelty_ms": 1.0,
    "help_s": 1.0,
}


def milliseconds(call: Callable[[], object], rounds: int) -> float:
    """Return the wall time of the shortest of several calls."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e3 * min(times)


def archive_figures(wheel: Path, rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lemur.sqlite"
        began = time.process_time()
        import_wheel(wheel, path)
        seconds = time.process_time() - began
        archive = LemurArchive(path)
        pool = archive.baselines(dataset="cifar10", max_image_size=64, max_lines=400)
        return {
            "import_cpu_s": seconds,
            "file_mb": path.stat().st_size / 1e6,
            "sample_50_ms": milliseconds(
                lambda: sample_baselines(pool, 50, random.Random(0)), rounds
            ),
            "best_of_a_dataset_ms": max(
                milliseconds(lambda name=name: archive.best_epoch1(name), rounds)
                for name in DATASETS
            ),
        }


def novelty_figures(networks: int, rounds: int) -> dict[str, float]:
    """Measure one query against that many networks: a few signatures, many times."""
    codes = [
        each.code
        for each in BuiltinArchive().baselines(dataset="digits", max_image_size=8, max_lines=400)
    ]
    index = NoveltyIndex()
    signatures = [index._signature(code) for code in codes]
    index._signature = lambda code: signatures[int(code)]  # type: ignore[method-assign]
    for number in range(networks):
        index.add(str(number % len(codes)), str(number))
    return {
        "novelty_ms": milliseconds(lambda: index.similarity("0"), rounds),
        "novelty_mb": index._signatures.nbytes / 1e6,
    }


def help_seconds() -> float:
    command = [sys.executable, "-m", "deltanas", "--help"]
    return milliseconds(lambda: subprocess.run(command, capture_output=True, check=True), 3) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=100_000)
    asked = parser.parse_args()
    figures: dict[str, Any] = archive_figures(asked.wheel, asked.rounds)
    figures |= novelty_figures(asked.networks, asked.rounds)
    figures |= {"help_s": help_seconds()}
    print(f"{'':<22}{'found':>10}{'goal':>10}")
    for name, found in figures.items():
        goal = f"{GOALS[name]:>10g}" if name in GOALS else ""
        print(f"{name:<22}{found:>10.2f}{goal}")
    print(write("archive", {"found": figures, "goals": GOALS, "novelty_networks": asked.networks}))


if __name__ == "__main__":
    main()
