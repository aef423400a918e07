"""How good an answer was: from its verdict and its gain, the noise of both, and its frequency.

A reward lies in [0, 1]. What failed has 0, a network as good as its parent 0.5, and gains and
losses move it from there by how far they stand out from what another seed would do. It is then
divided by how often the run has come to that outcome: expected return alone makes an LLM repeat
its best answer, and dividing by the frequency of the outcome mends that (arXiv 2601.21669).
Rewards must not be negative for it: what failed often would become better than what failed once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from deltanas.tune.tuner import Answer, Lesson

FAILED = 0.0
PAR = 0.5  # of a network as good as its parent that nothing else in the run equals
PRIOR_WEIGHT = 3  # degrees of freedom that the prior of the noise counts for

Repeats = Mapping[tuple[str, str], Mapping[int, float]]  # (dataset, network): seed's number: score


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One answer of the LLM in a run, and what became of it."""

    attempt_id: str  # unique in a run
    cycle: int
    baseline_id: str
    family: str
    dataset: str
    prompt: str  # the user turn, before the chat template
    answer: str
    finished: bool  # False: it was cut at the token limit
    sampled: bool  # False: the LLM did not write it, or not when asked by this prompt
    gain: float | None  # proxy accuracy minus the baseline's, in [-1, 1]; None: it failed
    network: str  # the same for equal networks, whichever answer led there; empty: there is none

    def lesson(self, reward: float = FAILED) -> Lesson:
        """Return the answer alone, as an LLM would be taught it."""
        answer = Answer(text=self.answer, reward=reward, finished=self.finished)
        return Lesson(name=self.attempt_id, prompt=self.prompt, answers=(answer,))


def noise(repeats: Sequence[float], prior: float) -> float:
    """Return the standard deviation of a network's accuracy over seeds, > 0.

    `prior` (> 0) stands where nothing was repeated. Few repeats say little: the variance is the
    mean of a scaled inverse chi-squared prior's and theirs, by degrees of freedom (Gelman et
    al., Bayesian Data Analysis, 3rd ed., section 2.6).
    """
    centre = fmean(repeats) if repeats else 0.0
    squares = math.fsum((one - centre) ** 2 for one in repeats)
    freedom = max(0, len(repeats) - 1)
    return math.sqrt((PRIOR_WEIGHT * prior**2 + squares) / (PRIOR_WEIGHT + freedom))


def reward(gains: Sequence[float], deviation: float) -> float:
    """Return the reward in [0, 1] of a network with these gains over its parent, 1 or more.

    Each gain is the difference of two accuracies under one seed, and each of these has the
    standard `deviation` (> 0) over seeds; so a mean gain of its own standard error gives 0.75.
    It rises with the gain, and 0.5 is that of none.
    """
    error = deviation * math.sqrt(2 / len(gains))
    relative = fmean(gains) / error
    return PAR * (1 + relative / (1 + abs(relative)))


def rewards_of(outcomes: Sequence[Outcome], repeats: Repeats, prior: float) -> dict[str, float]:
    """Return the reward of every attempt; `outcomes` are all of the run so far.

    `repeats` holds accuracies under fresh seeds. Where an attempt and its baseline have some in
    common, their differences stand for its gain, as that one may have been lucky.
    """
    times = Counter(map(_key, outcomes))
    rewards = {}
    for one in outcomes:
        value = FAILED
        if one.gain is not None:
            parent = repeats.get((one.dataset, one.baseline_id), {})
            child = repeats.get((one.dataset, one.attempt_id), {})
            fresh = [child[seed] - parent[seed] for seed in sorted(child.keys() & parent.keys())]
            value = reward(fresh or [one.gain], noise(list(parent.values()), prior))
        rewards[one.attempt_id] = value / times[_key(one)]
    return rewards


def _key(one: Outcome) -> tuple[str, str, str]:
    if one.network:
        return one.dataset, one.network, ""
    return one.dataset, one.prompt, one.answer
