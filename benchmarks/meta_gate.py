"""What does the check on the meta device cost, and is it right? Against a check for real.

    python benchmarks/meta_gate.py [--networks 300]

The gate is the product's own: constructor, `train_setup` and a forward pass of 2 images on torch's
meta device, on the CPU where that device cannot tell. The real check builds the network on the
CPU, runs `train_setup`, and trains it on one real batch: forward, loss, backward, clipping,
optimizer step, without Lightning and without an answer; 4 images (grey digits in three channels)
at the size and with the hyperparameters that LEMUR trained the network with. Both
run in jailed children of one process that is warm and set as a zygote is, with one thread, and
cost the CPU time of child and fork. The networks are LEMUR's for CIFAR-10, drawn at random, and
as many broken ones: one seeded edit each (`broken.py`), a third each of shapes, names and
interface. They agree where both accept or both refuse; what a network computes, such as NaN, and
how large it is are no reason to refuse here. Goals: 60 ms at the median, 8 times cheaper than the
real check, 98 % agreement. Needs the imported archive (`deltanas-lemur fetch`).
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import logging
import resource
import statistics
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
import torch
from broken import KINDS, broken
from results import write

from deltanas.archive.base import ArchiveError
from deltanas.archive.lemur import LemurArchive
from deltanas.cli.environment import ensure
from deltanas.evaluate import choose, load_data
from deltanas.evaluate.channel import LENGTH, Limits
from deltanas.evaluate.inside.child import answer, answer_cap
from deltanas.evaluate.inside.tiny import TINY, TINY_RECIPE
from deltanas.evaluate.inside.training_data import TrainingData
from deltanas.evaluate.jail import huge_pages
from deltanas.evaluate.jail.layers import Jail, prepare
from deltanas.evaluate.supervise import run_child
from deltanas.evaluate.worker import environment
from deltanas.records import Baseline, Job, Loop, Verdict
from deltanas.report.metrics import wilson_interval

BATCH = 4  # images of the real check
GOALS = {"gate_ms": 60.0, "times_cheaper": 8.0, "agreement": 0.98}
NAMED = 12  # disagreements of a kind that are printed
LIMITS = Limits(
    timeout_s=120, memory_bytes=8 * 2**30, threads=1, max_parameters=2**62, max_macs=2**62
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How one network fared in one check."""

    verdict: str
    reason: str
    milliseconds: float  # CPU time of child and fork

    @property
    def accepted(self) -> bool:
        return self.verdict == Verdict.TRAINED


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One network in both checks."""

    name: str
    size: int  # pixels
    gate: Checked
    real: Checked


def one_batch() -> TrainingData:
    """Return a batch of real digits in three channels, and nothing to answer for."""
    images = load_data("digits", seed=1)
    rows = images.train_rows[:BATCH]
    pixels = torch.from_numpy(np.repeat(images.pixels[rows], 3, axis=1))
    mean, std = (torch.full((3, 1, 1), each[0]) for each in images.channel_statistics())
    return TrainingData(
        pixels=pixels,
        train_rows=torch.arange(BATCH),
        train_labels=torch.from_numpy(images.train_labels[:BATCH]),
        val_rows=torch.arange(0),
        test_rows=torch.arange(0),
        mean=mean,
        std=std,
        num_classes=images.num_classes,
    )


def checks(job: Job) -> tuple[Job, Job]:
    """Return the jobs of the gate and of the real check."""
    return replace(job, epochs=0), replace(job, epochs=1, loop=Loop.calibration)


def one_child(job: Job, data: TrainingData, jail: Jail) -> Checked:
    work = functools.partial(answer, job, data, LIMITS)
    began = cpu_seconds()
    with run_child(work, jail, LIMITS, cap=answer_cap(job, data, LIMITS)) as (report, room):
        output = bytes(room)
    milliseconds = 1e3 * (cpu_seconds() - began)
    if report.ending != "ended" or report.exit_code:
        end = f"{report.ending}, status {report.exit_code}, {report.seconds:.1f} s"
        return Checked(verdict="died", reason=end, milliseconds=milliseconds)
    found = json.loads(output[LENGTH:])
    return Checked(verdict=found["verdict"], reason=found["reason"], milliseconds=milliseconds)


def cpu_seconds() -> float:
    """Return the CPU time of this process, which pays for forks, and of its reaped children."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def warm_jail(data: TrainingData) -> Jail:
    """Import all that both checks need, as a zygote does, and return the jail around them."""
    torch.set_num_threads(1)
    for job in checks(Job(job_id="warm-up", code=TINY, recipe=replace(TINY_RECIPE, batch=BATCH))):
        answer(job, data, LIMITS)
    gc.collect()
    gc.freeze()
    huge_pages.collapse()
    return prepare(choose("auto").tier)


def mutants(baselines: list[Baseline]) -> list[tuple[str, Baseline]]:
    """Return one broken network of each, named by its kind."""
    found = []
    for number, baseline in enumerate(baselines):
        kind = list(KINDS)[number % len(KINDS)]
        code = broken(baseline.code, kind, Random(f"broken/{baseline.baseline_id}"))
        found.append((f"{kind}:{baseline.baseline_id}", replace(baseline, code=code)))
    return found


def both(networks: list[tuple[str, Baseline]], data: TrainingData, jail: Jail) -> list[Row]:
    """Check all networks both ways, one after the other."""
    rows = []
    for name, baseline in networks:
        recipe = replace(baseline.recipe, batch=BATCH)
        jobs = checks(Job(job_id=name, code=baseline.code, recipe=recipe, seed=1))
        gate, real = (one_child(job, data, jail) for job in jobs)
        rows.append(Row(name=name, size=recipe.image_size, gate=gate, real=real))
    return rows


def figures(rows: list[Row]) -> dict[str, Any]:
    """Return what the table and the file hold about some networks."""
    accepts = [row for row in rows if row.gate.accepted and not row.real.accepted]
    refusals = [row for row in rows if row.real.accepted and not row.gate.accepted]
    agreed = len(rows) - len(accepts) - len(refusals)
    gate = statistics.median(row.gate.milliseconds for row in rows)
    real = statistics.median(row.real.milliseconds for row in rows)
    return {
        "networks": len(rows),
        "refused_by_the_real_check": sum(not row.real.accepted for row in rows),
        "gate_ms": gate,
        "real_ms": real,
        "times_cheaper": real / gate,
        "agreed": agreed,
        "agreement_interval": wilson_interval(agreed, len(rows)),
        "false_accepts": [f"{row.name}: {row.real.reason}" for row in accepts],
        "false_refusals": [f"{row.name}: {row.gate.reason}" for row in refusals],
    }


def show(name: str, rows: list[Row]) -> dict[str, Any]:
    """Print a line of the table, and return its figures."""
    found = figures(rows)
    low, high = found["agreement_interval"]
    print(
        f"{name:<14}{found['networks']:>9}{found['refused_by_the_real_check']:>9}"
        f"{found['gate_ms']:>10.1f}{found['real_ms']:>10.1f}{found['times_cheaper']:>8.1f} x"
        f"{found['agreed'] / found['networks']:>10.1%}  {low:.1%} to {high:.1%}"
        f"{len(found['false_accepts']):>8}{len(found['false_refusals']):>9}"
    )
    return found


def groups(rows: list[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return dict(sorted(found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=300)
    count = parser.parse_args().networks
    ensure(environment(threads=1))
    try:
        known = LemurArchive().baselines(dataset="cifar10")
    except ArchiveError as error:
        raise SystemExit(str(error)) from error
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    chosen = Random(1).sample(known, count)
    data = one_batch()
    jail = warm_jail(data)
    sound = both([(one.baseline_id, one) for one in chosen], data, jail)
    bad = both(mutants(chosen), data, jail)
    gc.unfreeze()
    print(
        f"{'':<14}{'networks':>9}{'refused':>9}{'gate ms':>10}{'real ms':>10}{'cheaper':>10}"
        f"{'agreed':>10}  {'95 % interval':<16}{'accepts':>7}{'refusals':>9}  (false ones)"
    )
    small = [row for row in sound if row.size <= 64]
    parts = {
        "LEMUR": sound,
        "up to 64 px": small,
        "above 64 px": [r for r in sound if r.size > 64],
    }
    parts |= groups(bad, lambda row: row.name.partition(":")[0])
    found = {name: show(name, rows) for name, rows in parts.items() if rows}
    found = {**found, "broken": show("broken", bad), "all": show("all", [*sound, *bad])}
    for what in ("false_accepts", "false_refusals"):
        print(f"\n{what.replace('_', ' ')}")
        for line in found["all"][what][:NAMED]:
            print(f"  {line}")
    ends = Counter(row.real.verdict for row in (*sound, *bad))
    print(f"\nthe real check ended in {dict(ends)}; goals: {GOALS}")
    print(write("meta_gate", {"goals": GOALS, "groups": found, "real_verdicts": ends}))


if __name__ == "__main__":
    main()
