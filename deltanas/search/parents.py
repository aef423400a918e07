"""Which baselines are edited: selectors over the pool of a data set."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from deltanas.archive.sampling import sample_baselines
from deltanas.records import Attempt, Baseline, Slot

Strength = Callable[[str], float | None]  # of a network by name; None where it has no score yet
Fits = Callable[[Baseline], bool]

FLOOR = 0.1  # of the draws ignore strength, so that every family is edited now and then
ENTRANTS = 5  # of a tournament
EXPLORATION = 8.0  # the constant of PUCT; at 1 one network gets nine draws in ten
POPULATION, SAMPLE = 100, 25  # of regularised evolution (arXiv 1802.01548, section 2)


class Selector(Protocol):
    """Chooses parents, and learns from what became of their children."""

    def choose(self, pool: Sequence[Baseline], n: int, rng: Random, fits: Fits) -> list[Baseline]:
        """Return `n` baselines of the pool that fit; one may come twice.

        The same pool, the same observations and the same state of `rng` give the same choice.
        Raises ValueError for a pool in which nothing fits.
        """
        ...

    def observe(self, slot: Slot, row: Attempt) -> None:
        """Take note of what came of a slot; called in the order in which rows are stored."""
        ...


class Balanced:
    """Draws families at random, strong or weak alike, and then one of their members."""

    def choose(self, pool: Sequence[Baseline], n: int, rng: Random, fits: Fits) -> list[Baseline]:
        """Return `n` baselines, nothing twice before everything was drawn once."""
        return sample_baselines(pool, n, rng, fits=fits)

    def observe(self, slot: Slot, row: Attempt) -> None:
        """Learn nothing."""


class Tournament:
    """Draws the strongest of `ENTRANTS` at random; one draw in ten is balanced."""

    def __init__(self, strength: Strength) -> None:
        self._strength = strength

    def choose(self, pool: Sequence[Baseline], n: int, rng: Random, fits: Fits) -> list[Baseline]:
        """Return `n` baselines; those without a score come by the balanced draws only."""
        scored = _scored(pool, self._strength, fits)

        def winner() -> Baseline:
            return _strongest([rng.choice(scored) for _ in range(ENTRANTS)])

        return _with_floor(pool, n, rng, fits, winner if scored else None)

    def observe(self, slot: Slot, row: Attempt) -> None:
        """Learn nothing: a child that is strong enters tournaments itself."""


class Bandit:
    """Draws by PUCT over the pool, with a flat prior; one draw in ten is balanced.

    A network's value is its rank by strength, 0 for the weakest and 1 for the strongest, and each
    draw from it or from a descendant of it lowers what is added for exploration (PUCT: Rosin 2011,
    doi:10.1007/s10472-011-9258-6; over a pool of programs that a language model edits:
    arXiv 2509.06503).
    """

    def __init__(self, strength: Strength) -> None:
        self._strength = strength
        self._visits: Counter[str] = Counter()
        self._parents: dict[str, str | None] = {}

    def choose(self, pool: Sequence[Baseline], n: int, rng: Random, fits: Fits) -> list[Baseline]:
        """Return `n` baselines; each draw counts as a visit for those after it."""
        scored = _scored(pool, self._strength, fits)
        self._parents |= {one.baseline_id: one.parent_id for one in pool}
        order = sorted(scored, key=lambda pair: (pair[0], pair[1].baseline_id))
        ranks = [number / max(1, len(order) - 1) for number in range(len(order))]
        visits = self._visits.copy()

        def best() -> Baseline:
            prior = EXPLORATION / len(order) * math.sqrt(1 + visits.total())

            def value(number: int) -> float:
                return ranks[number] + prior / (1 + visits[order[number][1].baseline_id])

            chosen = order[max(range(len(order)), key=value)][1]
            visits.update(self._line(chosen.baseline_id))
            return chosen

        return _with_floor(pool, n, rng, fits, best if order else None)

    def observe(self, slot: Slot, row: Attempt) -> None:
        """Count a visit of the parent and of those that it comes from."""
        self._visits.update(self._line(row.parent_id))

    def _line(self, name: str | None) -> list[str]:
        """Return a network and its ancestors."""
        line = []
        while name is not None:
            line.append(name)
            name = self._parents.get(name)
        return line


class Aging:
    """Regularised evolution: the strongest of `SAMPLE` drawn from the `POPULATION` youngest.

    The first population is drawn from the archive; whoever joins the pool takes the place of the
    oldest (Real et al. 2019, arXiv 1802.01548, algorithm 1).
    """

    def __init__(self, strength: Strength) -> None:
        self._strength = strength
        self._first: list[str] | None = None

    def choose(self, pool: Sequence[Baseline], n: int, rng: Random, fits: Fits) -> list[Baseline]:
        """Return `n` baselines; of the first population all come once before any is selected."""
        ancient = [one for one in pool if one.parent_id is None]
        if self._first is None:
            drawn = sample_baselines(ancient, min(POPULATION, len(ancient)), rng, fits=fits)
            self._first = list(dict.fromkeys(one.baseline_id for one in drawn))
        known = {one.baseline_id: one for one in pool}
        first = [known[name] for name in self._first if name in known]
        alive = [*first, *(one for one in pool if one.parent_id is not None and fits(one))]
        alive = alive[-POPULATION:]
        chosen = [one for one in alive if self._strength(one.baseline_id) is None][:n]
        scored = _scored(alive, self._strength, fits)
        while len(chosen) < n and scored:
            sample = rng.sample(scored, min(SAMPLE, len(scored)))
            chosen.append(_strongest(sample))
        return chosen or sample_baselines(pool, n, rng, fits=fits)

    def observe(self, slot: Slot, row: Attempt) -> None:
        """Learn nothing: who joined stands at the end of the pool."""


def _scored(
    pool: Sequence[Baseline], strength: Strength, fits: Fits
) -> list[tuple[float, Baseline]]:
    """Return the networks of the pool that have a score and fit, with their strength."""
    found = [(strength(one.baseline_id), one) for one in pool]
    return [(value, one) for value, one in found if value is not None and fits(one)]


def _strongest(scored: Sequence[tuple[float, Baseline]]) -> Baseline:
    return max(scored, key=lambda pair: (pair[0], pair[1].baseline_id))[1]


def _with_floor(
    pool: Sequence[Baseline],
    n: int,
    rng: Random,
    fits: Fits,
    pick: Callable[[], Baseline] | None,
) -> list[Baseline]:
    """Return `n` picks, about `FLOOR` of them balanced draws; all are where none is scored."""
    if pick is None:
        return sample_baselines(pool, n, rng, fits=fits)
    free = [rng.random() < FLOOR for _ in range(n)]
    balanced = iter(sample_baselines(pool, sum(free), rng, fits=fits))
    return [next(balanced) if each else pick() for each in free]
