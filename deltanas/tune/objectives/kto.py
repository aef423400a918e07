"""Kahneman-Tversky optimization (Ethayarajh et al., arXiv 2402.01306): good or bad, each alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deltanas.tune.objectives.base import Scores, Unit
from deltanas.tune.rewards import PAR
from deltanas.tune.tuner import Lesson


class Kto:
    """How far every answer's value is from the best there is: equation 8 of the paper.

    The drift stands for the divergence from the reference, and gradients do not flow through it.
    """

    compares = True
    clips = False
    drifts = True

    def __init__(self, *, beta: float, margin: float) -> None:
        """`beta` (> 0) ties to the reference; a reward within `margin` of par is no judgement."""
        self.beta, self.margin = beta, margin

    def units(self, lessons: Sequence[Lesson]) -> list[Unit]:
        """Return the answers that are good (weight above 0) or bad (below 0), each alone.

        The more frequent kind weighs less, so that both weigh the same in all (the paper's
        section 4.2); where one is missing, the other has nothing to stand out from.
        """
        answers = [(lesson.prompt, answer) for lesson in lessons for answer in lesson.answers]
        good = [(p, a) for p, a in answers if a.reward > PAR and a.reward - PAR >= self.margin]
        bad = [(p, a) for p, a in answers if a.reward < PAR and PAR - a.reward >= self.margin]
        if not good or not bad:
            return []
        less = min(len(good), len(bad))
        return [
            Unit(prompt, (answer,), (sign * less / len(kind),))
            for kind, sign in ((good, 1.0), (bad, -1.0))
            for prompt, answer in kind
        ]

    def loss(self, scores: Scores) -> Tensor:
        """Return the sum over answers."""
        ratios = scores.of_answers(scores.policy - scores.reference) - scores.drift
        values = torch.sigmoid(self.beta * torch.sign(scores.weights) * ratios)
        return (scores.weights.abs() * (1 - values)).sum()

    def size(self, answers: int, tokens: int) -> int:
        """Return the answers."""
        return answers
