"""The rows of every optimizer step: packed pieces, and what the loss of each is divided by."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from deltanas.tune.objectives.base import Objective
from deltanas.tune.objectives.sft import Sft
from deltanas.tune.packing import Example, PackedRow, Piece, fill, pack, siblings_together


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What one forward pass may hold."""

    tokens: int
    targets: int

    @classmethod
    def of(cls, examples: Sequence[Example], batch: int, max_tokens: int) -> Room:
        """Return room for `batch` examples, be they the longest: short ones find more room."""
        longest = max(len(tokens) - start for tokens, start in examples)
        return cls(tokens=batch * max_tokens, targets=batch * longest)

    def cut(self, pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
        """Yield the pieces, in their order, as many at once as there is room for."""
        return fill(pieces, most_tokens=self.tokens, most_targets=self.targets)


class Row(NamedTuple):
    """One forward and backward pass: N answers with K tokens."""

    packed: PackedRow
    lengths: tuple[int, ...]  # N tokens of every answer
    weights: Tensor  # (N,)
    reference: Tensor  # (K,); (0,) where the objective does not compare
    before: Tensor  # (K,); (0,) where it does not clip
    divisor: float  # of the loss, so that those of a step add up to its mean
    real: bool  # to be imitated, whatever the objective


class Step(NamedTuple):
    """What one optimizer step takes."""

    rows: list[Row]
    apart: list[PackedRow]  # answers to other prompts, by which drift is measured
    apart_reference: float  # their log-probability without the adapter, summed


class Steps:
    """The optimizer steps of an epoch, in a new random order every epoch."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        objective: Objective,
        *,
        batch: int,
        accumulate: int,
        max_tokens: int,
        seed: int,
    ) -> None:
        """Take `batch * accumulate` pieces a step, a pass of at most `batch * max_tokens`."""
        self.pieces, self.objective = list(pieces), objective
        self.together = batch * accumulate
        examples = [example for piece in pieces for example in piece.examples]
        self.room = Room.of(examples, batch, max_tokens)
        self.rng = random.Random(seed)

    def __len__(self) -> int:
        return math.ceil(len(self.pieces) / self.together)

    def __iter__(self) -> Iterator[Step]:
        order = siblings_together(self.pieces, self.rng)
        for start in range(0, len(order), self.together):
            yield self._step(order[start : start + self.together])

    def _step(self, pieces: Sequence[Piece]) -> Step:
        """Return the step whose loss is the mean of both kinds of pieces, by answers."""
        rows = []
        answers = sum(len(piece.examples) for piece in pieces)
        for kind in (False, True):
            own = [piece for piece in pieces if piece.real is kind]
            objective = Sft() if kind else self.objective
            sizes = [len(ids) - start for piece in own for ids, start in piece.examples]
            share = len(sizes) / answers
            divisor = objective.size(len(sizes), sum(sizes)) / share if own else 1.0
            rows += [_row(each, divisor, real=kind) for each in self.room.cut(own)]
        apart = [piece for piece in pieces if piece.apart is not None]
        others = [Piece((each.apart,), (0.0,)) for each in apart if each.apart is not None]
        return Step(
            rows,
            [packed(each) for each in self.room.cut(others)],
            sum(piece.apart_reference for piece in apart),
        )


def packed(pieces: Sequence[Piece]) -> PackedRow:
    """Return the pieces as one row."""
    return pack([example for piece in pieces for example in piece.examples])


def _row(pieces: Sequence[Piece], divisor: float, *, real: bool) -> Row:
    examples = [example for piece in pieces for example in piece.examples]
    nothing = torch.empty(0)
    references = [each.reference for each in pieces if each.reference is not None]
    before = [each.before for each in pieces if each.before is not None]
    return Row(
        packed=pack(examples),
        lengths=tuple(len(tokens) - start for tokens, start in examples),
        weights=torch.tensor([weight for piece in pieces for weight in piece.weights]),
        reference=torch.cat(references) if references else nothing,
        before=torch.cat(before) if before else nothing,
        divisor=divisor,
        real=real,
    )
