"""Group relative policy optimization (Shao et al., arXiv 2402.03300): siblings, normalised."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

import torch
from torch import Tensor

from deltanas.tune.objectives.base import Scores, Unit
from deltanas.tune.tuner import Lesson

CLIP = 0.2  # of the ratio to the adapter that the tuning began with, as in PPO
_SMALL = 1e-4  # on the deviation of a group, as in TRL


class Grpo:
    """The clipped advantage of every token, less the divergence from the reference.

    Equations 3 and 4 of the paper, but averaged over all tokens of a step, so that long answers
    do not weigh less (DAPO, arXiv 2503.14476, section 3.3), and with the divergence times the
    ratio, which makes its gradient unbiased (DeepSeek-V3.2, arXiv 2512.02556); TRL does both.
    """

    compares = True
    clips = True
    drifts = False

    def __init__(self, *, beta: float, margin: float) -> None:
        """`beta` (>= 0) ties to the reference; groups within less than `margin` are ties."""
        self.beta, self.margin = beta, margin

    def units(self, lessons: Sequence[Lesson]) -> list[Unit]:
        """Return every answer alone, weighed by its advantage over its siblings.

        Groups that tie are left out and so enter no denominator: they say nothing, and the
        divergence alone would pull at them.
        """
        units = []
        for lesson in lessons:
            rewards = [answer.reward for answer in lesson.answers]
            spread = max(rewards) - min(rewards)
            if spread == 0 or spread < self.margin:
                continue
            mean, scale = fmean(rewards), stdev(rewards) + _SMALL
            units += [
                Unit(lesson.prompt, (answer,), ((answer.reward - mean) / scale,))
                for answer in lesson.answers
            ]
        return units

    def loss(self, scores: Scores) -> Tensor:
        """Return the sum over tokens."""
        advantages = scores.of_tokens(scores.weights)
        ratios = torch.exp(scores.policy - scores.before)
        clipped = ratios.clamp(1 - CLIP, 1 + CLIP)
        away = scores.reference - scores.policy
        divergence = ratios * (torch.exp(away) - away - 1)
        gained = torch.minimum(ratios * advantages, clipped * advantages)
        return (self.beta * divergence - gained).sum()

    def size(self, answers: int, tokens: int) -> int:
        """Return the tokens."""
        return tokens
