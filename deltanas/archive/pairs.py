"""Pairs of LEMUR networks of which the second is more accurate: the static corpus for LoRA."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from deltanas.archive.lemur import LemurArchive
from deltanas.records import Baseline

NEIGHBOURS = 24  # worse networks of the family that are looked at for the nearest
LIKENESS = 0.7  # of two sources by `SequenceMatcher.quick_ratio`; below it no delta is short
MINIMUM_GAIN = 0.01  # accuracy after one epoch; LEMUR's repeats differ by about as much
MAX_CHANGED = 60  # lines removed and added; most nearest deltas are shorter (median 22 lines)
PER_BASELINE = 4  # pairs that start at one network, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePair:
    """A network to start from, and a better one a short delta away."""

    baseline: Baseline
    better_id: str
    code: str  # the better network
    dataset: str
    accuracy: float  # of the baseline: LEMUR's best after one epoch, on its test split
    gain: float  # of the better network over it


def improving_pairs(
    archive: LemurArchive,
    baselines: Sequence[Baseline],
    dataset: str,
    count: int,
    rng: random.Random,
    fits: Callable[[ArchivePair], bool],
) -> Iterator[ArchivePair]:
    """Yield up to `count` pairs of `baselines` on one dataset, its families in turn.

    Each starts at a random baseline and goes to the nearest of some random better networks of
    its family. `fits` refuses pairs that the LLM cannot take. Fewer come where families run out.
    """
    accuracies = archive.best_epoch1(dataset)
    families: dict[str, list[Baseline]] = defaultdict(list)
    for baseline in sorted(baselines, key=lambda one: one.baseline_id):
        if baseline.baseline_id in accuracies:
            families[baseline.family].append(baseline)
    waiting = {
        family: PER_BASELINE * rng.sample(own, len(own)) for family, own in families.items()
    }
    seen: set[tuple[str, str]] = set()
    while waiting and count:
        for family in sorted(waiting)[:count]:
            queue = waiting[family]
            while queue:
                baseline = queue.pop()
                pair = _pair(baseline, families[family], accuracies, dataset, rng)
                if pair and (baseline.baseline_id, pair.better_id) not in seen and fits(pair):
                    seen.add((baseline.baseline_id, pair.better_id))
                    count -= 1
                    yield pair
                    break
            if not queue:
                del waiting[family]


def _pair(
    baseline: Baseline,
    family: Sequence[Baseline],
    accuracies: dict[str, float],
    dataset: str,
    rng: random.Random,
) -> ArchivePair | None:
    own = accuracies[baseline.baseline_id]
    better = [one for one in family if accuracies[one.baseline_id] >= own + MINIMUM_GAIN]
    lines = baseline.code.splitlines()
    nearest: tuple[int, Baseline] | None = None
    for one in rng.sample(better, min(NEIGHBOURS, len(better))):
        matcher = SequenceMatcher(None, lines, one.code.splitlines(), autojunk=False)
        if matcher.quick_ratio() < LIKENESS:
            continue
        changed = sum(
            (i2 - i1) + (j2 - j1)
            for tag, i1, i2, j1, j2 in matcher.get_opcodes()
            if tag != "equal"
        )
        if 0 < changed <= MAX_CHANGED and (nearest is None or changed < nearest[0]):
            nearest = changed, one
    if nearest is None:
        return None
    one = nearest[1]
    return ArchivePair(
        baseline=baseline,
        better_id=one.baseline_id,
        code=one.code,
        dataset=dataset,
        accuracy=own,
        gain=accuracies[one.baseline_id] - own,
    )
