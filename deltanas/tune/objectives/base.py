"""What an objective makes of lessons, and what it sees of them once the LLM has read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from deltanas.tune.tuner import Answer, Lesson


class Unit(NamedTuple):
    """Answers to one prompt that a loss must see together."""

    prompt: str
    answers: tuple[Answer, ...]
    weights: tuple[float, ...]  # of the answers; what they mean is the objective's matter


class Scores(NamedTuple):
    """Log-probabilities, in nats, of the K tokens of N answers; those of a unit stand together."""

    lengths: tuple[int, ...]  # N tokens of every answer, which add up to K
    weights: Tensor  # (N,)
    policy: Tensor  # (K,) by the LLM with its adapter, with gradients
    reference: Tensor  # (K,) by the LLM without it; (0,) where the objective does not compare
    before: Tensor  # (K,) by the adapter as this tuning began; (0,) where it does not clip
    drift: float = 0.0  # mean log-ratio of policy to reference on answers to other prompts, >= 0

    def of_answers(self, values: Tensor) -> Tensor:
        """Return the sums (N,) over every answer's tokens of values (K,)."""
        return torch.stack([part.sum() for part in torch.split(values, list(self.lengths))])

    def of_tokens(self, values: Tensor) -> Tensor:
        """Return for every token (K,) its answer's value (N,)."""
        return torch.cat(
            [value.expand(length) for value, length in zip(values, self.lengths, strict=True)]
        )


class Objective(Protocol):
    """Turns lessons into units, and their log-probabilities into a loss."""

    @property
    def compares(self) -> bool:
        """Whether it looks at the LLM without its adapter; if not, it imitates."""
        ...

    @property
    def clips(self) -> bool:
        """Whether it looks at the adapter as the tuning began."""
        ...

    @property
    def drifts(self) -> bool:
        """Whether it looks at the drift, which costs a forward pass a step."""
        ...

    def units(self, lessons: Sequence[Lesson]) -> list[Unit]:
        """Return what is learned from lessons; those that say nothing are left out."""
        ...

    def loss(self, scores: Scores) -> Tensor:
        """Return the loss of some units, summed over what `size` counts."""
        ...

    def size(self, answers: int, tokens: int) -> int:
        """Return what the loss of so many answers, with so many tokens, is divided by."""
        ...
