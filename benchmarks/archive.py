"""What the archive costs: import, size, queries, novelty, and the start of the program.

    python benchmarks/archive.py [--wheel WHEEL] [--networks 100000]

With LEMUR's wheel (`pip download --no-deps nn-dataset==2.1.2`) the import is measured, in one
process, into a temporary folder; without it the archive that `deltanas-lemur fetch` left in the
cache answers the queries. Times are CPU time of one core, which other work on the machine
disturbs least. A novelty query takes a signature, which depends on the length of the network, and
a search, which depends on the number of known networks only: their signatures are drawn.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from results import write

from deltanas.archive.builtin_archive import NETWORKS, source
from deltanas.archive.lemur import DATASETS, LemurArchive, default_path
from deltanas.archive.lemur_import import import_wheel
from deltanas.archive.sampling import sample_baselines
from deltanas.screen.novelty import NoveltyIndex

GOALS = {
    "import_cpu_s": 40.0,
    "file_mb": 130.0,
    "sample_50_ms": 20.0,
    "best_of_a_dataset_ms": 20.0,
    "open_pool_ms": 20.0,
    "count_left_out_ms": 20.0,
    "signature_of_builtin_ms": 6.0,
    "signature_of_typical_ms": 6.0,
    "novelty_of_3300_ms": 0.7,
    "novelty_of_unseen_ms": 20.0,
    "help_cpu_s": 1.0,
}
ROUNDS = 5
TYPICAL = range(7500, 8500)  # characters of LEMUR's networks whose signatures are timed
ASKED = 50  # searches among known networks


def milliseconds(call: Callable[[Any], object], arguments: Iterable[object]) -> dict[str, float]:
    """Return median and longest CPU time of a call with each of the arguments."""
    times = []
    for argument in arguments:
        began = time.process_time()
        call(argument)
        times.append(1e3 * (time.process_time() - began))
    return {"median": statistics.median(times), "max": max(times)}


def import_figures(wheel: Path, path: Path) -> dict[str, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    import_wheel(wheel, path)
    return {
        "import_cpu_s": time.process_time() - cpu,
        "import_wall_s": time.perf_counter() - wall,
    }


def query_figures(path: Path) -> dict[str, Any]:
    """Measure what a run asks of the archive, on every dataset, without limits to the pool.

    Each cycle samples from a pool, and a static corpus asks for accuracies. The pool is opened,
    and what is left out of it is counted, once for a run and dataset: that takes longer, for it
    reads up to 19,000 trials and unpacks up to 5,400 texts.
    """
    archive = LemurArchive(path)
    pools = {name: archive.baselines(dataset=name) for name in DATASETS}
    queries: dict[str, Callable[[str], object]] = {
        "sample_50_ms": lambda name: sample_baselines(pools[name], 50, random.Random(0)),
        "best_of_a_dataset_ms": archive.best_epoch1,
        "open_pool_ms": lambda name: archive.baselines(dataset=name),
        "count_left_out_ms": lambda name: archive.left_out(dataset=name),
    }
    found = {key: milliseconds(ask, ROUNDS * list(DATASETS)) for key, ask in queries.items()}
    return {"file_mb": path.stat().st_size / 1e6, **found}


def novelty_figures(sources: list[str], networks: int) -> dict[str, Any]:
    """Measure signatures of built-in and typical networks, and searches among drawn ones."""
    index = NoveltyIndex()
    texts = {
        "signature_of_builtin_ms": [source(name) for name in NETWORKS],
        "signature_of_typical_ms": [code for code in sources if len(code) in TYPICAL],
    }
    found: dict[str, Any] = {
        key: milliseconds(index._signature, ROUNDS * some) for key, some in texts.items() if some
    }
    rng = np.random.default_rng(0)
    places = int(index.definition["permutations"])
    for key, known in {"novelty_of_3300_ms": 3300, "novelty_of_unseen_ms": networks}.items():
        while len(index) < known:
            drawn = rng.integers(0, 2**32, places, dtype=np.uint32)
            index._append(drawn, str(len(index)))
        asked = rng.integers(0, 2**32, (ASKED, places), dtype=np.uint32)
        found[key] = milliseconds(index._nearest, asked)
    return {**found, "novelty_bytes": index.nbytes, "novelty_networks": len(index)}


def help_seconds() -> float:
    """Return the CPU time of `deltanas --help`, the least of three."""
    times = []
    for _ in range(3):
        before = os.times()
        subprocess.run(
            [sys.executable, "-m", "deltanas", "--help"], capture_output=True, check=True
        )
        after = os.times()
        times.append(sum(after[2:4]) - sum(before[2:4]))  # of children, user and system
    return min(times)


def show(figures: dict[str, Any]) -> None:
    print(f"{'':<24}{'median':>13}{'max':>13}{'goal':>8}")
    for name, found in figures.items():
        shown = list(found.values()) if isinstance(found, dict) else [found]
        line = "".join(f"{each:>13,.{0 if isinstance(each, int) else 2}f}" for each in shown)
        goal = GOALS.get(name)
        if goal:
            line = f"{line:<26}{goal:>8g}" + ("  missed" if shown[0] > goal else "")
        print(f"{name:<24}{line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--networks", type=int, default=100_000)
    asked = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = default_path()
        if asked.wheel:
            path = Path(folder) / "lemur.sqlite"
            figures |= import_figures(asked.wheel, path)
        else:
            print("left out: the import; `pip download --no-deps nn-dataset==2.1.2`, --wheel FILE")
        if path.is_file():
            figures |= query_figures(path)
            sources = [network.source for network in LemurArchive(path).all_networks()]
        else:
            print("left out: size, queries, LEMUR's networks; `deltanas-lemur fetch` brings them")
            sources = [source(name) for name in NETWORKS]
    figures |= novelty_figures(sources, asked.networks)
    figures |= {"help_cpu_s": help_seconds()}
    show(figures)
    print(write("archive", {"found": figures, "goals": GOALS}))


if __name__ == "__main__":
    main()
