"""Decoding under a grammar per reply: what leaves the grammar is never sampled.

Where a grammar leaves one way only, as along a copied line, it says the tokens itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import llguidance
    import torch
    from transformers import PreTrainedTokenizerFast


class Locks:
    """The grammars of a batch, each at the place that its reply has reached."""

    def __init__(
        self, tokenizer: llguidance.LLTokenizer, grammars: Sequence[str], ends: Sequence[int]
    ) -> None:
        """Start reply i under grammar i; any of `ends` may end it where the grammar allows an end.

        Raises ValueError for a grammar that llguidance refuses.
        """
        import llguidance

        self.tokenizer, self.ends = tokenizer, list(ends)
        self.words = -(-tokenizer.vocab_size // 32)
        self.executor = llguidance.LLExecutor()
        self.matchers: dict[Hashable, llguidance.LLMatcher] = {}
        for reply, grammar in enumerate(grammars):
            self.begin(reply, grammar)

    def begin(self, reply: Hashable, grammar: str, written: Sequence[int] = ()) -> None:
        """Put a reply behind the tokens that are written of it. Raises ValueError as above."""
        matcher = _compiled(self.tokenizer, grammar).deep_copy()
        if written and not matcher.consume_tokens(list(written)):
            raise RuntimeError(f"a grammar forbids the tokens {written} that it allowed before")
        self.matchers[reply] = matcher

    def branch(self, reply: Hashable, source: Hashable) -> None:
        """Put a reply where another one is."""
        self.matchers[reply] = self.matchers[source].deep_copy()

    def forced(self, reply: Hashable) -> list[int]:
        """Go on to the next choice of a reply, and return the tokens up to there.

        They are the only ones that masks would allow, one by one. At the end of the grammar, the
        last of them ends the reply.
        """
        matcher = self.matchers[reply]
        tokens: list[int] = matcher.compute_ff_tokens()
        if tokens and not matcher.consume_tokens(tokens):
            raise RuntimeError(f"a grammar forbids the tokens {tokens} that it forces")
        return [*tokens, self.ends[0]] if matcher.is_stopped() else tokens

    def follow(self, reply: Hashable, token: int) -> list[int]:
        """Take a sampled token that ends no reply, and return the forced tokens after it."""
        if not self.matchers[reply].consume_token(token):
            raise RuntimeError(f"token {token} was sampled though the grammar forbids it")
        return self.forced(reply)

    def mask(self, logits: torch.Tensor, replies: Sequence[Hashable]) -> torch.Tensor:
        """Return logits (B, V) with -inf for what the grammars of the replies forbid next."""
        import torch

        words = np.zeros((len(replies), self.words), dtype=np.int32)
        self.executor.unsafe_compute_mask_ptr(
            [(self.matchers[reply], row) for row, reply in enumerate(replies)],
            words.ctypes.data,
            4 * self.words,
            len(replies),
        )
        packed = torch.from_numpy(words.view(np.uint8)).to(logits.device)
        bits = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8).to(logits.device)
        forbidden = (packed[..., None] & bits == 0).flatten(1)
        return logits.masked_fill(forbidden[:, : logits.shape[1]], float("-inf"))


@lru_cache(maxsize=128)  # a MB each; baselines come again in later cycles
def _compiled(tokenizer: llguidance.LLTokenizer, grammar: str) -> llguidance.LLMatcher:
    """Return the start of a grammar; ValueError where llguidance refuses it."""
    import llguidance

    matcher = llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_lark(grammar))
    if matcher.is_error():
        raise ValueError(f"the grammar of a baseline is refused: {matcher.get_error()}")
    return matcher


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
