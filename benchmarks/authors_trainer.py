"""One candidate through this program and through the authors' trainer: candidates an hour.

    python benchmarks/authors_trainer.py [--folder DIR] [--cells tiny-32 median-32 ...] [--gpu]

The authors' side is `check_nn` of nn-dataset 2.1.2 (LEMUR), called as they call it, in one warm
process that keeps its settings (one loader process), with its lint stage and without. It is
installed beside this environment into DIR, with the same torch. Both sides train the same network
on the same CIFAR-10 files (made up here, in the real format and size) for one epoch with one
torch thread, in batches of 64, at 256 pixels of 4, and predict the test images.

Each cell is timed at two numbers of images, both sides in turns; the line through the two gives
the fixed cost of a candidate and the cost of an image, and with these the cost at CIFAR-10's
50,000 + 10,000. Cost is CPU time of all processes, so `candidates an hour` is of one core that is
never idle, and other programs hardly move it; on a GPU it is wall time. The floor
is a bare loop over one resident batch: what no data path can save.
The authors' import of their database (minutes, once) is left out. A cell that is not asked for
keeps its figures of before; each says at which commit it was timed.

`--gpu` trains on the first GPU, as their trainer does by itself where there is one. A fourth side
is then ours in bfloat16 and channels last.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
import torchvision
from results import COMMIT, read, write
from torch.nn import functional as F  # noqa: N812

from deltanas.cli.environment import ensure
from deltanas.evaluate import ImageData, LocalExecutor
from deltanas.evaluate.images.cache import load_source
from deltanas.evaluate.images.sources import SOURCES
from deltanas.evaluate.inside.network import build, load_class
from deltanas.evaluate.jail.syscalls import PR_SET_THP_DISABLE, prctl
from deltanas.evaluate.worker import environment
from deltanas.records import Job, Precision, Recipe, Verdict

AUTHORS = ("nn-dataset==2.1.2", "radon~=6.0.1", "pylint~=3.3.3", "pandas")
NETWORKS = {  # of 200 LEMUR networks drawn at random, by multiply-accumulates at 32 pixels
    "tiny": "rag-40a713628975ec4264cd80ce42569b17",  # the smallest, 0.8 million
    "median": "FractalNet-b97fe9c48bf405ecdabedbc596cadaf4",  # 50th, 156 million
    "large": "FractalNet-4fa4ed1a803da0af6f8041332e0e166d",  # 75th, 990 million
}
# no LEMUR network steps as fast; what a candidate costs besides its steps shows best on it
SETTINGS = {  # of our workers' allocator, which reads them at the start; the floor has them too
    name: value
    for name, value in environment(threads=1).items()
    if name.startswith(("MALLOC_", "GLIBC_", "OMP_"))
}
CNN = Path(__file__).with_name("small_cnn.py")
SIZES = (32, 64, 256)  # pixels
TRAIN, TEST = 50_000, 10_000  # images of CIFAR-10
PRM = {"lr": 0.01, "momentum": 0.9, "dropout": 0.2, "epoch": 1}
BATCH = {32: 64, 64: 64, 256: 4}  # pixels: images; the large network takes 0.75 GB for each at 256
FLOOR_S = 3.0  # of steps, and of answers, whose median is taken
BUDGET_S = 6.0  # that the larger number of images should take in the floor's loop
WORKER = Path(__file__).with_name("authors_worker.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Seconds of a candidate as a function of its training images."""

    fixed: float
    image: float

    def at(self, images: int) -> float:
        return self.fixed + self.image * images


def install(folder: Path) -> None:
    """Put the authors' package and what it needs besides torch into the folder."""
    if (folder / "site").is_dir():
        return
    target = ["--quiet", "--target", str(folder / "site.partial")]
    for extra in (["--no-deps", AUTHORS[0]], list(AUTHORS[1:])):
        subprocess.run([sys.executable, "-m", "pip", "install", *target, *extra], check=True)
    (folder / "site.partial").rename(folder / "site")


def write_cifar10(folder: Path) -> None:
    """Write files in CIFAR-10's format and size: noise on a grey level that tells the label."""
    files = folder / "data" / "cifar-10-batches-py"
    if (files / "batches.meta").exists():
        return
    files.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        labels = rng.integers(0, 10, 10_000)
        noise = rng.integers(-40, 40, (10_000, 3072))
        images = (60 + 14 * labels[:, None] + noise).astype(np.uint8)
        entry = {"data": images, "labels": labels.tolist()}
        (files / name).write_bytes(pickle.dumps(entry))
    (files / "batches.meta").write_bytes(pickle.dumps({"label_names": [*"abcdefghij"]}))


def our_data(folder: Path) -> ImageData:
    class CIFAR10(torchvision.datasets.CIFAR10):  # type: ignore[misc]
        """The real class, without checksums."""

        train_list = [[name, None] for name, _ in torchvision.datasets.CIFAR10.train_list]
        test_list = [[name, None] for name, _ in torchvision.datasets.CIFAR10.test_list]
        meta = {**torchvision.datasets.CIFAR10.meta, "md5": None}

    torchvision.datasets.CIFAR10 = CIFAR10
    source = replace(SOURCES["cifar10"], counts=None)
    return load_source(source, seed=0, root=folder / "data", cache_dir=folder / "cache")


def recipe_at(pixels: int) -> Recipe:
    return Recipe(
        lr=PRM["lr"],
        momentum=PRM["momentum"],
        batch=BATCH[pixels],
        image_size=pixels,
        flip=True,
        dropout=PRM["dropout"],
        transform=f"norm_{pixels}_flip",
    )


def ours(
    data: ImageData, code: str, pixels: int, images: int, device: str, *, half: bool = False
) -> float:
    """Return the seconds of one candidate in a warm executor of one worker."""
    few = replace(
        data,
        train_rows=data.train_rows[:images],
        train_labels=data.train_labels[:images],
        val_rows=data.val_rows[:10],
        val_labels=data.val_labels[:10],
        test_rows=data.test_rows[: -(-images // 5)],
        test_labels=data.test_labels[: -(-images // 5)],
    )
    recipe = recipe_at(pixels)
    limits: dict[str, Any] = {"max_parameters": 10**9, "max_macs": 10**12}
    limits |= {"timeout_s": 3600.0, "memory_gb": 8.0}
    with LocalExecutor(few, device=device, workers=1, **limits) as executor:
        (warm,) = executor.map([Job(job_id="warm", code=code, recipe=recipe, epochs=0)])
        if warm.verdict is not Verdict.TRAINED:
            raise RuntimeError(f"the network does not build: {warm.reason}")
        began = spent(device)
        job = Job(job_id="timed", code=code, recipe=recipe, channels_last=half)
        job = replace(job, precision=Precision.bfloat16) if half else job
        (found,) = executor.map([job])
        if found.verdict is not Verdict.TRAINED:
            raise RuntimeError(f"the network does not train: {found.reason}")
        return spent(device) - began


def spent(device: str) -> float:
    """Return seconds: on a GPU of the clock, else of CPU by this process and all below it."""
    if device == "cuda":
        return time.perf_counter()
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = place.read_text().rpartition(")")[2].split()
            parents[int(place.parent.name)] = int(fields[1])
            ticks[int(place.parent.name)] = sum(map(int, fields[11:15]))  # with those reaped
    family = {os.getpid()}
    while grown := {one for one, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(ticks[one] for one in family) / os.sysconf("SC_CLK_TCK")


def floor_s(code: str, pixels: int, device: str) -> float:
    """Return the seconds of an epoch whose batches cost nothing: one batch, over and over."""
    prctl(PR_SET_THP_DISABLE, 1)  # as in the jail; the zygote, which starts later, has them
    recipe = recipe_at(pixels)
    where = torch.device(device)
    network = build(load_class(code), recipe, channels=3, num_classes=10, device=where).to(where)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
    images = torch.randn(recipe.batch, 3, pixels, pixels, device=where)
    labels = torch.randint(0, 10, (recipe.batch,), device=where)

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.item()

    def answer() -> float:
        with torch.no_grad():
            return float(network(images).sum())

    clock = time.perf_counter if device == "cuda" else time.process_time
    total = 0.0
    for work, count in ((step, TRAIN), (answer, TEST)):
        times: list[float] = []
        while len(times) < 3 or (sum(times) < FLOOR_S and len(times) < 200):
            began = clock()
            work()
            times.append(clock() - began)
        total += statistics.median(times) * count / recipe.batch
    prctl(PR_SET_THP_DISABLE, 0)
    return total


class Authors:
    """Their trainer in a process of its own, which answers one line for one."""

    def __init__(self, folder: Path, device: str) -> None:
        site = folder / "site"
        (folder / "db").mkdir(exist_ok=True)
        (folder / "db" / "ab.nn.db").touch()  # else they import 118,000 files first
        self._log = (folder / "authors.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            cwd=folder,
            env={
                **{name: value for name, value in os.environ.items() if name not in SETTINGS},
                "PYTHONPATH": os.pathsep.join([str(site), str(folder)]),  # they write modules
                "PATH": os.pathsep.join([str(site / "bin"), os.environ["PATH"]]),
                "OMP_NUM_THREADS": "1",
                **({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,  # their progress bars
            text=True,
        )

    def seconds(self, code: str, pixels: int, images: int, device: str, *, lint: bool) -> float:
        task = {
            "code": code,
            "prm": {**PRM, "batch": BATCH[pixels], "transform": f"norm_{pixels}_flip"},
            "train": images,
            "test": -(-images // 5),
            "lint": lint,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:  # it prints much else
            if line.startswith("SECONDS "):
                wall, cpu = map(float, line.split()[1:])
                return wall if device == "cuda" else cpu
        raise RuntimeError(f"the authors' trainer ended; its message stands in {self._log.name}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


def line(points: dict[int, list[float]]) -> Line:
    """Return the line through the fastest time at each of two numbers of images."""
    (few, low), (many, high) = ((images, min(times)) for images, times in sorted(points.items()))
    image = max(0.0, (high - low) / (many - few))
    return Line(fixed=max(0.0, low - image * few), image=image)


def cell(
    authors: Authors, data: ImageData, code: str, pixels: int, rounds: int, device: str
) -> dict[str, float]:
    """Return the figures of one network at one image size."""
    sides: dict[str, Callable[[int], float]] = {
        "ours": lambda images: ours(data, code, pixels, images, device),
        "bare": lambda images: authors.seconds(code, pixels, images, device, lint=False),
        "linted": lambda images: authors.seconds(code, pixels, images, device, lint=True),
    }
    if device == "cuda":
        sides["ours_half"] = lambda images: ours(data, code, pixels, images, device, half=True)
    floor = floor_s(code, pixels, device)
    batch = BATCH[pixels]
    many = batch * int(min(20_000, max(3 * batch, 24, BUDGET_S / floor * TRAIN)) // batch)
    points: dict[str, dict[int, list[float]]] = {name: {} for name in sides}
    for images in (batch * max(1, many // batch // 4), many):
        for _ in range(rounds):
            for name, seconds in sides.items():
                points[name].setdefault(images, []).append(seconds(images))
    lines = {name: line(times) for name, times in points.items()}
    whole = {name: each.at(TRAIN) for name, each in lines.items()}
    return {
        "images": many,
        "floor_epoch_s": floor,
        "floor_share_of_ours": floor / whole["ours"],
        **{f"{name}_fixed_s": each.fixed for name, each in lines.items()},
        **{f"{name}_epoch_s": seconds for name, seconds in whole.items()},
        **{f"{name}_per_hour": 3600 / seconds for name, seconds in whole.items()},
        "ratio_linted": whole["linted"] / whole["ours"],
        "ratio_without_lint": whole["bare"] / whole["ours"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = ["cnn-32", *(f"{network}-{pixels}" for pixels in SIZES for network in NETWORKS)]
    folder = Path(platformdirs.user_cache_dir("deltanas")) / "authors"
    parser.add_argument("--folder", type=Path, default=folder)
    parser.add_argument("--cells", nargs="+", choices=known, default=known)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--gpu", action="store_true", help="both sides train on the first GPU")
    options = parser.parse_args()
    device = "cuda" if options.gpu else "cpu"
    ensure(SETTINGS)
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    install(options.folder)
    write_cifar10(options.folder)
    data = our_data(options.folder)
    authors = Authors(options.folder, device)
    name = "authors_trainer_gpu" if options.gpu else "authors_trainer"
    figures = read(name)  # of the cells that are not timed now
    print(
        f"{'':<11}{'images':>7}{'candidates an hour':>32}{'ratio':>9}{'':>9}{'fixed s':>18}"
        f"{'floor':>8}"
    )
    print(
        f"{'':<11}{'':>7}{'ours':>12}{'no lint':>10}{'theirs':>10}"
        f"{'no lint':>9}{'theirs':>9}{'ours':>9}{'theirs':>9}{'share':>8}"
    )
    try:
        for each in options.cells:
            network, _, pixels = each.rpartition("-")
            theirs = options.folder / f"site/ab/nn/nn/{NETWORKS.get(network)}.py"
            code = (CNN if network == "cnn" else theirs).read_text()
            found = cell(authors, data, code, int(pixels), options.rounds, device)
            figures[each] = {**found, "commit": COMMIT}
            print(
                f"{each:<11}{found['images']:>7}{found['ours_per_hour']:>12.1f}"
                f"{found['bare_per_hour']:>10.1f}{found['linted_per_hour']:>10.1f}"
                f"{found['ratio_without_lint']:>9.2f}{found['ratio_linted']:>9.2f}"
                f"{found['ours_fixed_s']:>9.2f}{found['linted_fixed_s']:>9.2f}"
                f"{found['floor_share_of_ours']:>8.2f}",
                flush=True,
            )
            path = write(name, {each: figures[each] for each in known if each in figures})
    finally:
        authors.close()
    print(path)


if __name__ == "__main__":
    main()
