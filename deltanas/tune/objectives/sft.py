"""Supervised fine-tuning: the best answer of every lesson becomes more likely."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from deltanas.tune.objectives.base import Scores, Unit
from deltanas.tune.tuner import Lesson


class Sft:
    """The mean negative log-probability of all answers' tokens."""

    compares = False
    clips = False
    drifts = False

    def units(self, lessons: Sequence[Lesson]) -> list[Unit]:
        """Return the best answer of every lesson, alone."""
        best = ((each.prompt, max(each.answers, key=lambda a: a.reward)) for each in lessons)
        return [Unit(prompt, (answer,), (1.0,)) for prompt, answer in best]

    def loss(self, scores: Scores) -> Tensor:
        """Return the sum over tokens."""
        return -scores.policy.sum()

    def size(self, answers: int, tokens: int) -> int:
        """Return the tokens."""
        return tokens
