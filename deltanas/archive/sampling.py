"""Which baselines a cycle edits: seeded, and balanced over families."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from deltanas.records import Baseline


def sample_baselines(
    pool: Sequence[Baseline],
    n: int,
    rng: random.Random,
    *,
    fits: Callable[[Baseline], bool] | None = None,
) -> list[Baseline]:
    """Return `n` baselines: each draw takes a family, all equally likely, then one of its members.

    Nothing is drawn twice before everything was drawn once, so a family that ran out waits for
    the others. The same pool, in any order, and the same state of `rng` give the same sample.
    `fits` is asked about drawn baselines only, since it may be dear (it counts tokens); those
    that it refuses are replaced.
    Raises ValueError for a negative `n`, an id that the pool holds twice, and a pool in which
    nothing fits.
    """
    if n < 0:
        raise ValueError(f"n is {n}; a sample holds 0 or more baselines")
    left = {baseline.baseline_id: baseline for baseline in pool}
    if len(left) < len(pool):
        raise ValueError(f"{len(pool)} baselines have {len(left)} ids; ids must be unique")
    waiting: dict[str, list[Baseline]] = {}
    sample: list[Baseline] = []
    while len(sample) < n:
        if not waiting:
            if not left:
                raise ValueError(f"of {len(pool)} baselines none fits; one or more must")
            waiting = _shuffled_families(left.values(), rng)
        family = rng.choice(list(waiting))
        drawn = waiting[family].pop()
        if not waiting[family]:
            del waiting[family]
        if fits is None or fits(drawn):
            sample.append(drawn)
        else:
            del left[drawn.baseline_id]
    return sample


def _shuffled_families(
    baselines: Iterable[Baseline], rng: random.Random
) -> dict[str, list[Baseline]]:
    families: dict[str, list[Baseline]] = {}
    for baseline in sorted(baselines, key=lambda one: (one.family, one.baseline_id)):
        families.setdefault(baseline.family, []).append(baseline)
    for members in families.values():
        rng.shuffle(members)
    return families
