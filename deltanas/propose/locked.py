"""Decoding under a grammar per reply: tokens that would leave the grammar are never sampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import llguidance
    import torch
    from transformers import PreTrainedTokenizerFast


class LockedDecoding:
    """Masks the tokens that a grammar does not allow; a transformers `LogitsProcessor`.

    One instance serves one batch of `generate`: row i of the batch obeys grammar i, and any token
    of `ends` may end it where the grammar allows an end.
    """

    def __init__(
        self, tokenizer: llguidance.LLTokenizer, grammars: Sequence[str], ends: Sequence[int]
    ) -> None:
        import llguidance

        self.ends = list(ends)
        self.matchers = [
            llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_lark(grammar))
            for grammar in grammars
        ]
        for matcher in self.matchers:
            if matcher.is_error():
                raise ValueError(f"the grammar of a baseline is refused: {matcher.get_error()}")
        self.seen: int | None = None  # tokens per row before the next call
        self.done = [False] * len(self.matchers)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores (B, V) with -inf for every token that the rows' grammars forbid."""
        import torch

        if self.seen is not None:
            for row, token in enumerate(input_ids[:, -1].tolist()):
                self._advance(row, token)
        self.seen = input_ids.shape[1]
        allowed = np.zeros(tuple(scores.shape), dtype=bool)
        for row, matcher in enumerate(self.matchers):
            if self.done[row]:
                allowed[row, self.ends] = True
                continue
            words = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
            bits = np.unpackbits(words, bitorder="little")[: scores.shape[1]].astype(bool)
            allowed[row, : len(bits)] = bits
        mask = torch.from_numpy(allowed).to(scores.device)
        return scores.masked_fill(~mask, float("-inf"))

    def _advance(self, row: int, token: int) -> None:
        if self.done[row]:
            return
        if token in self.ends:
            self.done[row] = True
        elif not self.matchers[row].consume_token(token):
            raise RuntimeError(f"token {token} was sampled though the grammar forbids it")
        elif self.matchers[row].is_stopped():
            self.done[row] = True


def grammar_tokenizer(
    tokenizer: PreTrainedTokenizerFast, vocabulary: int, ends: Sequence[int] | None = None
) -> llguidance.LLTokenizer:
    """Return llguidance's view of a fast tokenizer.

    `vocabulary` is the width of the logits; `ends` are the tokens that end a reply, by default
    the tokenizer's own.
    """
    import llguidance.hf

    eos = None if ends is None else list(ends)
    return llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=eos)
