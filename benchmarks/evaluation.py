"""What a candidate costs besides its own work, part by part, after warm-up.

    python benchmarks/evaluation.py [--rounds 20]

A candidate is checked in one jailed process and trained for one epoch in another. Its own work is
what runs in them: import, build, shape check, training, predictions. The rest is ours: forks,
layers of the jail, the end of the processes, judging, and the way through the executor. Prints
medians in ms over rounds and networks of the built-in archive on digits, one thread. The goal is
50 ms for all that is ours.

Then a training run, by CPU time: Lightning's Fabric, which the jail runs, and its Trainer, each
by a bare loop over batches that were prepared before. Theirs are resized, mirrored and scaled on
the way, from images of 32 pixels (digits: 8). The goal is 1.1 for Fabric.
"""

from __future__ import annotations

import argparse
import gc
import logging
import mmap
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace

import lightning
import numpy as np
import torch
from results import write
from torch.nn import functional as F  # noqa: N812

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.cli.environment import ensure
from deltanas.evaluate import ImageData, LocalExecutor, choose, load_data, supervise
from deltanas.evaluate.channel import Limits
from deltanas.evaluate.images.image_data import Images, Labels, Split, in_memory
from deltanas.evaluate.inside.child import answer, answer_cap
from deltanas.evaluate.inside.network import build, load_class
from deltanas.evaluate.inside.train import GRADIENT_CLIP, CandidateModule, train
from deltanas.evaluate.inside.training_data import TrainingBatches, TrainingData
from deltanas.evaluate.jail import huge_pages
from deltanas.evaluate.jail.layers import Jail, enter_jail, prepare
from deltanas.evaluate.score import score
from deltanas.evaluate.worker import environment
from deltanas.records import Baseline, Job, Verdict

NETWORKS = ("resnet_basic", "mobilenet_v1", "densenet", "vgg", "squeezenet", "convmixer")
LIMITS = Limits(
    timeout_s=600, memory_bytes=4 * 2**30, threads=1, max_parameters=10**9, max_macs=10**12
)
LOOPED = ("resnet_basic", "mobilenet_v1", "squeezenet")
TRAINED = {32: 512, 64: 128, 256: 16}  # pixels of a recipe: training images
GOAL_MS, GOAL_LOOP = 50.0, 1.1
FORKED, JAILED, WORKED = range(3)  # marks that a child leaves

clock = np.frombuffer(mmap.mmap(-1, 4096), np.float64)  # shared with the children


def marked_enter_jail(*args: object, **options: object) -> None:
    clock[FORKED] = time.monotonic()
    enter_jail(*args, **options)  # type: ignore[arg-type]
    clock[JAILED] = time.monotonic()


def one_child(job: Job, images: ImageData, data: TrainingData, jail: Jail) -> dict[str, float]:
    """Return the parts of one child in seconds."""

    def work() -> bytes:
        found = answer(job, data, LIMITS)
        clock[WORKED] = time.monotonic()
        return found

    began = time.monotonic()
    cap = answer_cap(job, data, LIMITS)
    with supervise.run_child(work, jail, LIMITS, cap=cap) as (report, output):
        reaped = time.monotonic()
        found = score(job, report, bytes(output), images, LIMITS)
    if found.verdict is not Verdict.TRAINED:
        raise RuntimeError(f"{job.job_id}: {found.verdict} {found.reason}")
    return {
        "fork": clock[FORKED] - began,
        "jail": clock[JAILED] - clock[FORKED],
        "own": clock[WORKED] - clock[JAILED],
        "end": reaped - clock[WORKED],
        "score": time.monotonic() - reaped,
    }


def parts(baselines: list[Baseline], images: ImageData, rounds: int) -> dict[str, float]:
    """Return the medians of all parts of a candidate in ms, and what is ours in all."""
    data = training_data(images)
    jobs = [
        Job(job_id=one.baseline_id, code=one.code, recipe=one.recipe, seed=1) for one in baselines
    ]
    for job in jobs:
        answer(job, data, LIMITS)  # warm, as a zygote is
    supervise.enter_jail = marked_enter_jail  # type: ignore[attr-defined]
    jail = prepare(choose("auto").tier)
    gc.collect()
    gc.freeze()
    huge_pages.collapse()
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for job in jobs:
            check = one_child(replace(job, epochs=0), images, data, jail)
            training = one_child(job, images, data, jail)
            row = {
                "forks": check["fork"] + training["fork"],
                "jail": check["jail"] + training["jail"],
                "own: import, build, shape": check["own"],
                "own: import, train, predict": training["own"],
                "ends": check["end"] + training["end"],
                "judging": check["score"] + training["score"],
            }
            for name, seconds in row.items():
                found.setdefault(name, []).append(1e3 * seconds)
    gc.unfreeze()
    found["executor"] = through_the_executor(jobs, images, rounds)
    medians = {name: statistics.median(each) for name, each in found.items()}
    ours = [name for name in medians if not name.startswith("own")]
    return {**medians, "ours in all": sum(medians[name] for name in ours)}


def through_the_executor(jobs: list[Job], images: ImageData, rounds: int) -> list[float]:
    """Return the ms of every job that pass outside its processes: messages and threads."""
    with LocalExecutor(images, workers=1, max_parameters=10**9, max_macs=10**12) as executor:
        list(executor.map(jobs))
        found = []
        for _ in range(rounds):
            for job in jobs:
                began = time.monotonic()
                (evaluation,) = executor.map([job])
                found.append(1e3 * (time.monotonic() - began - evaluation.seconds))
    return found


def training_data(images: ImageData) -> TrainingData:
    mean, std = (torch.tensor(each)[:, None, None] for each in images.channel_statistics())
    return TrainingData(
        pixels=torch.from_numpy(images.pixels),
        train_rows=torch.from_numpy(images.train_rows),
        train_labels=torch.from_numpy(images.train_labels),
        val_rows=torch.from_numpy(images.val_rows),
        test_rows=torch.from_numpy(images.test_rows),
        mean=mean,
        std=std,
        num_classes=images.num_classes,
    )


class TrainerModule(CandidateModule):
    def on_train_epoch_end(self) -> None:
        self.answer(self.current_epoch)


def fresh(
    kind: type[CandidateModule], baseline: Baseline, data: TrainingData
) -> tuple[CandidateModule, TrainingBatches]:
    torch.manual_seed(1)
    network = build(
        load_class(baseline.code),
        baseline.recipe,
        channels=data.channels,
        num_classes=data.num_classes,
        device=torch.device("cpu"),
    )
    batches = TrainingBatches(data, baseline.recipe, torch.Generator().manual_seed(1))
    return kind(network, baseline.recipe, data, 1), batches


def with_fabric(baseline: Baseline, data: TrainingData) -> float:
    began = time.process_time()
    job = Job(job_id="loop", code=baseline.code, recipe=baseline.recipe, seed=1)
    train(load_class(baseline.code), job, data, torch.device("cpu"))
    return time.process_time() - began


def with_trainer(baseline: Baseline, data: TrainingData) -> float:
    began = time.process_time()
    module, batches = fresh(TrainerModule, baseline, data)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        gradient_clip_val=GRADIENT_CLIP,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, batches)
    return time.process_time() - began


def bare(baseline: Baseline, data: TrainingData) -> float:
    began = time.process_time()
    module, batches = fresh(CandidateModule, baseline, data)
    built = time.process_time()
    resident = list(batches)
    began += time.process_time() - built
    optimizer = module.configure_optimizers()
    for images, labels in resident:
        optimizer.zero_grad()
        loss = F.cross_entropy(module.network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.network.parameters(), GRADIENT_CLIP)
        optimizer.step()
    module.answer(0)
    return time.process_time() - began


def noise(count: int) -> ImageData:
    """Return images like CIFAR-10's, few of them held out."""
    rng = np.random.default_rng(0)

    def split(number: int) -> tuple[Images, Labels]:
        images = rng.integers(0, 256, (number, 3, 32, 32), np.uint8)
        return images, np.arange(number, dtype=np.int64) % 10

    splits: dict[Split, tuple[Images, Labels]] = {
        Split.TRAIN: split(count),
        Split.VAL: split(10),
        Split.TEST: split(10),
    }
    return in_memory("noise", splits, num_classes=10)


def loops_by_size(known: list[Baseline], rounds: int) -> dict[str, dict[str, float]]:
    """Return `loops` for digits and for each size of image that a recipe may ask for."""
    few = [one for one in known if one.baseline_id in LOOPED]
    found = {"8 px": loops(few, load_data("digits", seed=1), rounds)}
    for size, count in TRAINED.items():
        sized = [
            replace(one, recipe=replace(one.recipe, image_size=size, batch=16, flip=True))
            for one in few
        ]
        found[f"{size} px"] = loops(sized, noise(count), rounds)
    return found


def loops(baselines: list[Baseline], images: ImageData, rounds: int) -> dict[str, float]:
    """Return the CPU time of each loop by that of a bare one, medians over networks."""
    data = training_data(images)
    ways: dict[str, Callable[[Baseline, TrainingData], float]] = {
        "bare": bare,
        "fabric": with_fabric,
        "trainer": with_trainer,
    }
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for baseline in baselines:
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                times[name].append(way(baseline, data))
        for name, each in times.items():
            ratios[name].append(min(each) / min(times["bare"]))
    return {name: statistics.median(each) for name, each in ratios.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    ensure(environment(threads=1))
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    images = load_data("digits", seed=1)
    known = BuiltinArchive().baselines(dataset="digits", max_image_size=64, max_lines=400)
    baselines = [one for one in known if one.baseline_id in NETWORKS]
    found = parts(baselines, images, rounds)  # first, in a process as slim as a zygote
    ratios = loops_by_size(known, max(3, rounds // 4))
    print(f"{len(baselines)} networks, {rounds} rounds; ms, medians")
    for name, milliseconds in found.items():
        goal = f"   goal {GOAL_MS:g}" if name == "ours in all" else ""
        print(f"{name:<28}{milliseconds:>8.2f}{goal}")
    print(f"\nCPU time of training, by a bare loop's; goal of fabric {GOAL_LOOP}")
    for size, each in ratios.items():
        print(f"{size:<28}" + "".join(f"   {name} {ratio:.3f}" for name, ratio in each.items()))
    print(write("evaluation", {"parts_ms": found, "loop_ratios": ratios, "rounds": rounds}))


if __name__ == "__main__":
    main()
