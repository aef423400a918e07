"""Baseline-locked decoding: a grammar per baseline under which every finished delta applies.

Context and removed lines can only be real lines of the baseline, in order; only added lines are
free. The grammar is right-linear: one rule for every place between two lines and for what came
before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deltanas.propose.hunks import HUNK, View

if TYPE_CHECKING:
    import llguidance
    import torch
    from transformers import PreTrainedTokenizerBase


def delta_grammar(view: View) -> str:
    """Return the grammar, in llguidance's Lark dialect, of the compact deltas of a baseline.

    A hunk starts at any shown line after the hunk before it, goes down without gaps, changes at
    least one line and may end after any line from its first change on. Frozen lines can be
    context only, and nothing can be added between two of them.
    """
    count = len(view.shown)
    old = [json.dumps(f"{view.lines[i]}\n", ensure_ascii=False)[1:] for i in view.shown]
    frozen = [i in view.frozen for i in view.shown]
    rules = [
        'start: "@@\\n" t0',
        # no character that ends lines elsewhere
        r"ADDED: /\+[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\n/",
    ]
    for k in range(count + 1):
        inside = k < count and view.joined(k)  # line k follows in the same hunk
        between_frozen = inside and frozen[k] and frozen[k - 1]
        # t: a hunk starts at line k or later; h: in a hunk, unchanged so far; c: changed
        starts, goes_on, changed = [], [], [""]
        if k < count:
            kept, removed = f'" {old[k]} ', f'"-{old[k]} c{k + 1}'
            starts.append(f"{kept}h{k + 1}")
            if not frozen[k]:
                starts.append(removed)
            if k + 1 < count:
                starts.append(f"t{k + 1}")
            if inside:
                goes_on.append(f"{kept}h{k + 1}")
                changed.append(f"{kept}c{k + 1}")
                if not frozen[k]:
                    goes_on.append(removed)
                    changed.append(removed)
            changed.append(f'"{HUNK}\\n" t{k}')
            rules.append(f"t{k}: {' | '.join(starts)}")
        if k > 0:
            if not between_frozen:
                goes_on.append(f"ADDED c{k}")
                changed.append(f"ADDED c{k}")
            rules.append(f"h{k}: {' | '.join(goes_on)}")
            rules.append(f"c{k}: {' | '.join(changed)}")
    return "\n".join(rules) + "\n"


class LockedDecoding:
    """Masks the tokens that a grammar does not allow; a transformers `LogitsProcessor`.

    One instance serves one batch of `generate`: row i of the batch obeys grammar i.
    """

    def __init__(
        self, tokenizer: llguidance.LLTokenizer, grammars: Sequence[str], eos_token_id: int
    ) -> None:
        import llguidance

        self.eos_token_id = eos_token_id
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
                allowed[row, self.eos_token_id] = True
                continue
            words = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
            bits = np.unpackbits(words, bitorder="little")[: scores.shape[1]].astype(bool)
            allowed[row, : len(bits)] = bits
        mask = torch.from_numpy(allowed).to(scores.device)
        return scores.masked_fill(~mask, float("-inf"))

    def _advance(self, row: int, token: int) -> None:
        if self.done[row]:
            return
        if token == self.eos_token_id:
            self.done[row] = True
        elif not self.matchers[row].consume_token(token):
            raise RuntimeError(f"token {token} was sampled though the grammar forbids it")
        elif self.matchers[row].is_stopped():
            self.done[row] = True


def grammar_tokenizer(
    tokenizer: PreTrainedTokenizerBase, vocabulary: int
) -> llguidance.LLTokenizer:
    """Return llguidance's view of a fast tokenizer; `vocabulary` is the width of the logits."""
    import llguidance.hf

    return llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocabulary)
