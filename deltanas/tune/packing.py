"""Rendered examples end to end in one row: no padding, and no example sees another.

Attention goes example by example, which costs what the examples cost alone; a mask over the
whole row would cost the square of its length. Examples that answer one prompt share it: the
prompt stands in the row once, and every answer follows it as if it stood alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from itertools import chain
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from deltanas.tune.rendering import TuningError

_PACKED = "deltanas_packed"  # the attention's name in transformers

Example = tuple[list[int], int]  # tokens, index of the answer's first (1 or more)


class Piece(NamedTuple):
    """Examples that go through the LLM together, with what an objective knows of each."""

    examples: tuple[Example, ...]
    weights: tuple[float, ...]  # of the examples; what they mean is the objective's matter
    real: bool = False  # imitated, whatever the objective
    reference: Tensor | None = None  # (K,) log-probabilities of the targets without the adapter
    before: Tensor | None = None  # (K,) the same by the adapter as the tuning began
    apart: Example | None = None  # an answer to another prompt, by which drift is measured
    apart_reference: float = 0.0  # its log-probability without the adapter


class Segment(NamedTuple):
    """Neighbouring tokens of a row that see each other and what they share, and nothing else."""

    length: int  # tokens, > 0
    owner: int  # the segment that begins with the shared prompt; its own index: nothing is shared
    shared: int  # tokens of that prompt, seen before its own; 0: nothing is shared


class PackedRow(NamedTuple):
    """Packed examples: T tokens, K of them targets."""

    tokens: Tensor  # (1, T), int64
    positions: Tensor  # (1, T), int64; every example counts from 0
    kept: Tensor  # (K,), int64; the indices in the row that predict a target
    targets: Tensor  # (K,), int64; all tokens of all answers, and no others
    segments: tuple[Segment, ...]  # in the order of the row


def pack(examples: Sequence[Example]) -> PackedRow:
    """Return examples as one row; a prompt that several of them have stands in it once."""
    tokens: list[int] = []
    positions: list[int] = []
    kept: list[int] = []
    targets: list[int] = []
    segments: list[Segment] = []
    prompts: dict[tuple[int, ...], tuple[int, int]] = {}  # to segment, and index of last token
    for sequence, start in examples:
        here = (len(segments), len(tokens) + start - 1)
        owner, last = prompts.setdefault(tuple(sequence[:start]), here)
        shared = 0 if owner == len(segments) else start
        segments.append(Segment(len(sequence) - shared, owner, shared))
        tokens += sequence[shared:]
        positions += range(shared, len(sequence))
        kept += [last, *range(len(tokens) - (len(sequence) - start), len(tokens) - 1)]
        targets += sequence[start:]
    return PackedRow(
        torch.tensor([tokens]),
        torch.tensor([positions]),
        torch.tensor(kept),
        torch.tensor(targets),
        tuple(segments),
    )


def siblings_together(pieces: Sequence[Piece], rng: Random | None) -> list[Piece]:
    """Return the pieces with those of one prompt beside each other; `rng` shuffles them."""
    order = list(pieces)
    if rng is not None:
        rng.shuffle(order)
    groups: dict[tuple[int, ...], list[Piece]] = defaultdict(list)
    for piece in order:
        tokens, start = piece.examples[0]
        groups[tuple(tokens[:start])].append(piece)
    families = list(groups.values())
    if rng is not None:
        rng.shuffle(families)
    return list(chain.from_iterable(families))


def fill(pieces: Sequence[Piece], *, most_tokens: int, most_targets: int) -> Iterator[list[Piece]]:
    """Cut pieces, in their order, into rows of at most that many tokens and targets.

    A piece alone is over them where it must be: nothing is cut.
    """
    row: list[Piece] = []
    prompts: set[tuple[int, ...]] = set()
    tokens = targets = 0
    for piece in pieces:
        new, answers, own = _sizes(piece, prompts)
        if row and (tokens + new > most_tokens or targets + answers > most_targets):
            yield row
            row, tokens, targets = [], 0, 0
            new, answers, own = _sizes(piece, set())
            prompts = set()
        row.append(piece)
        prompts |= own
        tokens, targets = tokens + new, targets + answers
    if row:
        yield row


def _sizes(piece: Piece, prompts: Set[tuple[int, ...]]) -> tuple[int, int, set[tuple[int, ...]]]:
    """Return the tokens that a piece adds to a row with these prompts, its targets and prompts."""
    own: set[tuple[int, ...]] = set()
    tokens = targets = 0
    for sequence, start in piece.examples:
        prompt = tuple(sequence[:start])
        tokens += len(sequence) - (start if prompt in prompts or prompt in own else 0)
        targets += len(sequence) - start
        own.add(prompt)
    return tokens, targets, own


@contextmanager
def packed_attention(llm: PreTrainedModel) -> Iterator[None]:
    """Let the LLM read packed rows; afterwards it has its own attention again.

    Raises TuningError where the LLM carries a state over tokens, or has an attention that
    cannot be replaced: its examples would see each other.
    """
    before = llm.config._attn_implementation
    if llm._is_stateful or not llm._supports_attention_backend:
        raise TuningError(
            f"{type(llm).__name__} cannot be tuned on packed pairs: transformers must let its"
            " attention be replaced, and no state may pass from token to token"
        )
    llm.set_attn_implementation(_PACKED)
    try:
        yield
    finally:
        llm.set_attn_implementation(before)


def _attend(
    module: torch.nn.Module,
    query: Tensor,  # (1, heads, T, width), as are key and value
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: Sequence[Segment],
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Return every segment's attention over itself and its prompt (1, T, heads, width)."""
    lengths = [segment.length for segment in segments]
    queries, keys, values = (torch.split(each, lengths, dim=2) for each in (query, key, value))
    outputs = []
    for index, (length, owner, shared) in enumerate(segments):
        own_keys, own_values = keys[index], values[index]
        if shared:
            own_keys = torch.cat((keys[owner][:, :, :shared], own_keys), dim=2)
            own_values = torch.cat((values[owner][:, :, :shared], own_values), dim=2)
        mask = None  # causal
        window = sliding_window if sliding_window is not None else length + shared
        if shared or window < length:
            mask = torch.ones(length, shared + length, dtype=torch.bool, device=query.device)
            mask = mask.tril(shared).triu(shared - window + 1)[None, None]
        attended, _ = sdpa_attention_forward(
            module, queries[index], own_keys, own_values, mask, **options
        )
        outputs.append(attended)
    return torch.cat(outputs, dim=1), None


AttentionInterface.register(_PACKED, _attend)
