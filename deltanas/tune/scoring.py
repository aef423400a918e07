"""Log-probabilities of answers: of packed rows, and of many pieces without gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import PreTrainedModel

from deltanas.tune.packing import (
    Example,
    PackedRow,
    Piece,
    packed_attention,
    siblings_together,
)
from deltanas.tune.steps import Room, packed


def answer_loss(llm: PreTrainedModel, row: PackedRow) -> Tensor:
    """Return the sum of the cross-entropy of all answers' tokens, in nats."""
    return F.cross_entropy(_logits(llm, row), row.targets, reduction="sum")


def log_probabilities(llm: PreTrainedModel, row: PackedRow) -> Tensor:
    """Return the log-probabilities (K,) of all answers' tokens, in nats."""
    return -F.cross_entropy(_logits(llm, row), row.targets, reduction="none")


def _logits(llm: PreTrainedModel, row: PackedRow) -> Tensor:
    logits: Tensor = llm(
        input_ids=row.tokens,
        position_ids=row.positions,
        use_cache=False,
        logits_to_keep=row.kept,
        segments=row.segments,
    ).logits  # (1, K, V)
    return logits[0].float()


@torch.no_grad()
def held_out_loss(
    llm: PreTrainedModel, examples: Sequence[Example], *, batch: int, max_tokens: int
) -> float:
    """Return the mean loss per answer token in nats, without dropout; NaN stays NaN."""
    llm.train(False)
    room = Room.of(examples, batch, max_tokens)
    pieces = [Piece((example,), (1.0,)) for example in examples]
    total = 0.0
    with packed_attention(llm):
        for together in room.cut(siblings_together(pieces, None)):
            row = move_data_to_device(packed(together), llm.device)
            total += answer_loss(llm, row).item()
    return total / sum(len(tokens) - start for tokens, start in examples)


@torch.no_grad()
def known(
    llm: PreTrainedModel, pieces: Sequence[Piece], *, batch: int, max_tokens: int
) -> list[Tensor]:
    """Return the log-probabilities (K,) of every piece's answers, in order, on the CPU.

    The LLM is asked as it is, without dropout, in the precision that it is trained in.
    """
    if not pieces:
        return []
    llm.train(False)
    half = llm.dtype != torch.float32
    room = Room.of([e for piece in pieces for e in piece.examples], batch, max_tokens)
    found: dict[int, Tensor] = {}  # by the piece's identity
    with packed_attention(llm), torch.autocast(llm.device.type, llm.dtype, enabled=half):
        for together in room.cut(siblings_together(pieces, None)):
            row = move_data_to_device(packed(together), llm.device)
            sizes = [sum(len(ids) - start for ids, start in piece.examples) for piece in together]
            values = torch.split(log_probabilities(llm, row).cpu(), sizes)
            found |= {id(piece): own for piece, own in zip(together, values, strict=True)}
    return [found[id(piece)] for piece in pieces]
