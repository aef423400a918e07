"""What the archive costs: import, size, queries, novelty, and the start of the program.

    python benchmarks/archive.py [--wheel WHEEL] [--networks 100000]

With LEMUR's wheel (`pip download --no-deps nn-dataset==2.1.2`) the import is measured, in one
process, into a temporary folder; without it the archive that `deltanas-lemur fetch` left in the
cache answers the queries. Times are CPU time of one core, which other work on the machine
disturbs least. The known networks of the novelty queries are every few of LEMUR's, and copies of
them in which each place of the signature is drawn anew as often as random edits change it.
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
from numpy.typing import NDArray
from results import write

from deltanas.archive.builtin_archive import NETWORKS, source
from deltanas.archive.lemur import DATASETS, LemurArchive, default_path
from deltanas.archive.lemur_import import import_wheel
from deltanas.archive.sampling import sample_baselines
from deltanas.propose.random_edit import EditError, random_edit
from deltanas.screen.novelty import NoveltyIndex

GOALS = {
    "import_cpu_s": 40.0,
    "file_mb": 130.0,
    "sample_50_ms": 20.0,
    "best_of_a_dataset_ms": 20.0,
    "open_pool_ms": 20.0,
    "count_left_out_ms": 20.0,
    "novelty_of_edits_ms": 1.0,
    "novelty_of_unseen_ms": 1.0,
    "help_cpu_s": 1.0,
}
ROUNDS = 5
REAL = 2000  # networks whose signatures are computed: 8 ms each
ASKED = 150  # novelty queries of each kind


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
    """Measure queries about random edits of known networks, and about real ones not known."""
    index = NoveltyIndex()
    step = max(1, len(sources) // REAL)
    real, rng = sources[::step], random.Random(0)
    unseen = [code for number, code in enumerate(sources) if number % step]
    known = [index._signature(code) for code in real]
    edits, alike = edited(index, real, known, rng)
    draw = np.random.default_rng(0)
    for row in range(networks):
        signature = known[row % len(known)]
        if row >= len(known):
            fresh = draw.integers(0, 2**32, len(signature), dtype=np.uint32)
            signature = np.where(draw.random(len(signature)) < rng.choice(alike), signature, fresh)
        index._append(signature, str(row))
    asked = {"novelty_of_edits_ms": edits}
    if unseen:
        asked["novelty_of_unseen_ms"] = [index._signature(c) for c in rng.sample(unseen, ASKED)]
    everything = index._signatures[: len(index)]
    return {
        **{key: milliseconds(index._nearest, some) for key, some in asked.items()},
        "comparing_all_ms": milliseconds(
            lambda one: np.count_nonzero(everything == one, axis=1).argmax(), edits[:10]
        ),
        "signature_of_one_ms": milliseconds(index._signature, real[:50]),
        "novelty_bytes": index.nbytes,
        "novelty_networks": len(index),
        "novelty_real_networks": len(known),
    }


def edited(
    index: NoveltyIndex, real: list[str], known: list[NDArray[np.uint32]], rng: random.Random
) -> tuple[list[NDArray[np.uint32]], list[float]]:
    """Return signatures of random edits, and how similar each is to its parent."""
    edits: list[NDArray[np.uint32]] = []
    alike: list[float] = []
    while len(edits) < ASKED:
        row = rng.randrange(len(known))
        try:
            edits.append(index._signature(random_edit(real[row], rng)))
        except EditError:
            continue
        alike.append(float(np.mean(edits[-1] == known[row])))
    return edits, alike


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
