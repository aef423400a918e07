"""Do LEMUR networks end alike in every tier of the jail?

    python benchmarks/jail_agreement.py [--networks 48]

Builds and trains LEMUR networks of all families for two steps on random images, in every tier
that this machine can build, and prints how they ended and every outcome that differs. Needs the
imported archive (`deltanas-lemur fetch`).
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from dataclasses import replace

import numpy as np

from deltanas.archive.base import ArchiveError
from deltanas.archive.lemur import LemurArchive
from deltanas.evaluate import ImageData, JailError, LocalExecutor, Tier
from deltanas.evaluate.images.image_data import Split, in_memory
from deltanas.records import Baseline, Evaluation, Job

SIZE = 32  # pixels, at most


def random_data() -> ImageData:
    images = np.random.default_rng(0).integers(0, 256, (8, 3, SIZE, SIZE), dtype=np.uint8)
    split = images, np.arange(8, dtype=np.int64)
    return in_memory("random", dict.fromkeys(Split, split), num_classes=10)


def chosen(networks: int) -> list[Baseline]:
    """Return networks of all families in turn; those that import torchvision come first."""
    found = LemurArchive().baselines(dataset="cifar10", max_image_size=64, max_lines=400)
    random.Random(3).shuffle(found)
    found.sort(key=lambda baseline: "torchvision" not in baseline.code)
    seen: Counter[str] = Counter()
    rank = {}
    for baseline in found:
        rank[baseline.baseline_id] = seen[baseline.family]
        seen[baseline.family] += 1
    return sorted(found, key=lambda baseline: rank[baseline.baseline_id])[:networks]


def outcomes(tier: Tier, jobs: list[Job]) -> dict[str, Evaluation]:
    with LocalExecutor(
        random_data(),
        workers=1,
        jail=tier,
        max_parameters=200_000_000,
        max_macs=20_000_000_000,
    ) as executor:
        return {found.job_id: found for found in executor.map(jobs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=48)
    try:
        baselines = chosen(parser.parse_args().networks)
    except ArchiveError as error:
        raise SystemExit(str(error)) from error
    jobs = []
    for baseline in baselines:
        size = min(baseline.recipe.image_size, SIZE)
        recipe = replace(baseline.recipe, batch=4, image_size=size)
        jobs.append(Job(job_id=baseline.baseline_id, code=baseline.code, recipe=recipe))
    found: dict[Tier, dict[str, Evaluation]] = {}
    for tier in Tier:
        try:
            found[tier] = outcomes(tier, jobs)
        except JailError as error:
            print(f"{tier}: {error}")
            continue
        print(f"{tier}: {dict(Counter(str(each.verdict) for each in found[tier].values()))}")
    for job in jobs:
        rows = {
            tier: (each.verdict, each.curve, each.parameters, each.macs)
            for tier, each in ((tier, found[tier][job.job_id]) for tier in found)
        }
        if len(set(rows.values())) > 1:
            print(job.job_id, rows)


if __name__ == "__main__":
    main()
