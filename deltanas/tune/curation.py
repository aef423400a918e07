"""Which (baseline, delta) pairs the LLM is tuned on: good ones, balanced, none twice."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from deltanas.tune.tuner import Answer, Lesson


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One training example: what the LLM is asked, and what it should answer."""

    pair_id: str  # unique in a corpus: an attempt id, or a name of the static corpus
    baseline_id: str
    family: str
    dataset: str
    prompt: str  # the user turn, before the chat template
    answer: str  # the delta as the LLM wrote it, or should write it
    gain: float | None  # proxy accuracy minus the baseline's, in [-1, 1]; None: unknown
    real: bool = False  # of an archive, not of the search's own making

    def lesson(self) -> Lesson:
        """Return what the LLM learns from this pair."""
        answer = Answer(text=self.answer, reward=self.gain or 0.0)
        return Lesson(name=self.pair_id, prompt=self.prompt, answers=(answer,), real=self.real)


def curate(
    pairs: Sequence[Pair],
    *,
    limit: int,
    minimum_gain: float,
    per_baseline: int,
    rng: random.Random,
) -> list[Pair]:
    """Choose at most `limit` pairs, at most `per_baseline` of one baseline.

    A pair counts when its gain is at least `minimum_gain` or unknown. Of equal answers to one
    baseline the best stays. The datasets take turns, and within a dataset its families; each
    turn takes the highest gain left, unknown gains last. `rng` orders ties and turns: the same
    pairs in any order and the same state give the same choice.
    Raises ValueError for a limit or cap below 1, and for ids that are not unique.
    """
    if limit < 1 or per_baseline < 1:
        raise ValueError(f"{limit=} and {per_baseline=} must both be 1 or more")
    for pair_id, count in Counter(pair.pair_id for pair in pairs).items():
        if count > 1:
            raise ValueError(f"{count} pairs have the id {pair_id!r}; ids must be unique")
    turns = _turns([pair for pair in pairs if _good(pair, minimum_gain)], rng)
    chosen: list[Pair] = []
    taken: Counter[str] = Counter()
    answers: set[tuple[str, str]] = set()
    while turns and len(chosen) < limit:
        families = turns.popleft()
        pair = _next_pair(families, taken, answers, per_baseline)
        if pair is None:
            continue  # this dataset has nothing left
        chosen.append(pair)
        taken[pair.baseline_id] += 1
        answers.add((pair.baseline_id, pair.answer))
        turns.append(families)
    return chosen


def draw(pairs: Sequence[Pair], *, limit: int, rng: random.Random) -> list[Pair]:
    """Choose at most `limit` pairs, all equally likely: no curation.

    The same pairs in any order and the same state of `rng` give the same choice.
    """
    ordered = sorted(pairs, key=lambda pair: pair.pair_id)
    return rng.sample(ordered, min(limit, len(ordered)))


def split(
    pairs: Sequence[Pair], *, share: float, rng: random.Random
) -> tuple[list[Pair], list[Pair]]:
    """Split into pairs to train on and held-out pairs, with no baseline on both sides.

    About `share` of the baselines is held out; with two baselines or more both sides hold one,
    with a single one nothing is held out. Each baseline has a draw of its own, so a caller that
    passes an equally seeded `rng` every cycle keeps old baselines nearly always on their side.
    Raises ValueError unless 0 < share < 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; it must lie between 0 and 1, both excluded")
    salt = rng.random()
    baselines = sorted({pair.baseline_id for pair in pairs}, key=lambda name: _draw(salt, name))
    count = min(max(1, round(share * len(baselines))), len(baselines) - 1)
    out = set(baselines[: max(0, count)])
    train = [pair for pair in pairs if pair.baseline_id not in out]
    return train, [pair for pair in pairs if pair.baseline_id in out]


def _good(pair: Pair, minimum_gain: float) -> bool:
    return pair.gain is None or pair.gain >= minimum_gain


def _turns(pairs: Sequence[Pair], rng: random.Random) -> deque[deque[deque[Pair]]]:
    """Return datasets, of families, of pairs: both in a random order, the pairs best first."""
    pairs = sorted(pairs, key=lambda pair: pair.pair_id)
    rng.shuffle(pairs)
    pairs.sort(key=lambda pair: -math.inf if pair.gain is None else pair.gain, reverse=True)
    datasets: dict[str, dict[str, deque[Pair]]] = {}
    for pair in pairs:
        families = datasets.setdefault(pair.dataset, {})
        families.setdefault(pair.family, deque()).append(pair)
    turns = []
    for dataset in sorted(datasets):
        queues = [datasets[dataset][family] for family in sorted(datasets[dataset])]
        rng.shuffle(queues)
        turns.append(deque(queues))
    rng.shuffle(turns)
    return deque(turns)


def _next_pair(
    families: deque[deque[Pair]],
    taken: Counter[str],
    answers: set[tuple[str, str]],
    per_baseline: int,
) -> Pair | None:
    """Take the best allowed pair of the family whose turn it is; that family then waits."""
    while families:
        queue = families.popleft()
        while queue:
            pair = queue.popleft()
            if taken[pair.baseline_id] < per_baseline and (
                (pair.baseline_id, pair.answer) not in answers
            ):
                families.append(queue)
                return pair
    return None


def _draw(salt: float, baseline_id: str) -> bytes:
    return hashlib.sha256(f"{salt!r}/{baseline_id}".encode()).digest()
