"""From lessons to what goes through the LLM, with what is known of it before the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from peft import PeftModel
from transformers import PreTrainedModel

from deltanas.tune.objectives.base import Objective, Unit
from deltanas.tune.objectives.sft import Sft
from deltanas.tune.packing import Example, Piece
from deltanas.tune.scoring import known
from deltanas.tune.tuner import Lesson


def pieces_of(
    lessons: Sequence[Lesson], objective: Objective, render: Callable[[Unit], Sequence[Example]]
) -> list[Piece]:
    """Return what the objective makes of lessons.

    Real ones are imitated; to an objective that imitates they are lessons like any other.
    """
    imitated = [one for one in lessons if one.real and objective.compares]
    others = [one for one in lessons if not (one.real and objective.compares)]
    return [
        Piece(tuple(render(unit)), unit.weights, real)
        for units, real in ((objective.units(others), False), (Sft().units(imitated), True))
        for unit in units
    ]


def scored(
    llm: PreTrainedModel,
    adapted: PeftModel,
    pieces: Sequence[Piece],
    objective: Objective,
    *,
    batch: int,
    max_tokens: int,
) -> list[Piece]:
    """Return the pieces with what the objective compares: see `Piece`. Real ones stay as they are.

    `adapted` holds the adapter of the `llm`. One look at both before the training serves it all.
    """
    real = [piece for piece in pieces if piece.real]
    own = [piece for piece in pieces if not piece.real]
    if objective.drifts:
        own = _with_answers_apart(own, max_tokens)
    if objective.clips:
        before = known(llm, own, batch=batch, max_tokens=max_tokens)
        own = [p._replace(before=values) for p, values in zip(own, before, strict=True)]
    apart = [Piece((piece.apart,), (0.0,)) for piece in own if piece.apart is not None]
    with adapted.disable_adapter():
        reference = known(llm, own, batch=batch, max_tokens=max_tokens)
        sums = iter(known(llm, apart, batch=batch, max_tokens=max_tokens))
    return [
        piece._replace(
            reference=values,
            apart_reference=0.0 if piece.apart is None else next(sums).sum().item(),
        )
        for piece, values in zip(own, reference, strict=True)
    ] + real


def _with_answers_apart(pieces: Sequence[Piece], max_tokens: int) -> list[Piece]:
    """Give every piece its answer to the next other prompt, where there is one and both fit."""
    prompts = [tuple(tokens[:start]) for tokens, start in (p.examples[0] for p in pieces)]
    found = []
    for index, piece in enumerate(pieces):
        tokens, start = piece.examples[0]
        others = prompts[index + 1 :] + prompts[:index]
        other = next((each for each in others if each != prompts[index]), None)
        apart = None
        if other is not None and len(other) + len(tokens) - start <= max_tokens:
            apart = ([*other, *tokens[start:]], len(other))
        found.append(piece._replace(apart=apart))
    return found
