"""Which baselines are edited: selectors over the pool of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from deltanas.archive.sampling import sample_baselines
from deltanas.records import Attempt, Baseline, Slot


class Selector(Protocol):
    """Chooses parents, and learns from what became of their children."""

    def choose(
        self,
        pool: Sequence[Baseline],
        n: int,
        rng: Random,
        fits: Callable[[Baseline], bool],
    ) -> list[Baseline]:
        """Return `n` baselines of the pool that fit; one may come twice where few are left.

        The same pool, in any order, the same observations and the same state of `rng` give the
        same choice. Raises ValueError for a pool in which nothing fits.
        """
        ...

    def observe(self, slot: Slot, row: Attempt) -> None:
        """Take note of what came of a slot; called in the order in which rows are stored."""
        ...


class Balanced:
    """Draws families at random, strong or weak alike, and then one of their members."""

    def choose(
        self,
        pool: Sequence[Baseline],
        n: int,
        rng: Random,
        fits: Callable[[Baseline], bool],
    ) -> list[Baseline]:
        """Return `n` baselines, nothing twice before everything was drawn once."""
        return sample_baselines(pool, n, rng, fits=fits)

    def observe(self, slot: Slot, row: Attempt) -> None:
        """Learn nothing."""
