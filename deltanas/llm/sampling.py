"""Sampling with one random stream per reply, so that batches do not share their draws."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCK = 32  # tokens that noise is drawn ahead for


def truncated(
    logits: Tensor, *, temperature: float, top_k: int, top_p: float
) -> tuple[Tensor, Tensor]:
    """Return logits (B, K) at a temperature, by falling value, and the tokens that they are of.

    K is at most `top_k`, and what the top-p nucleus of those leaves out is -inf.
    """
    kept, order = (logits.float() / temperature).topk(min(top_k, logits.shape[-1]), dim=-1)
    probabilities = kept.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # mass of the likelier tokens
    return kept.masked_fill(before >= top_p, float("-inf")), order


class SeededSampling:
    """Draws the next token of each reply of a batch.

    Logits are cut to the top k and the top-p nucleus at the given temperature, then Gumbel noise
    of the reply's own generator is added: the largest sum is a draw from the softmax (Gumbel-max).
    """

    def __init__(
        self, seeds: Sequence[int], *, temperature: float, top_k: int, top_p: float
    ) -> None:
        """Keep one generator per reply; temperature > 0, 0 < top_p <= 1, top_k >= 1."""
        self.generators = [torch.Generator().manual_seed(seed % 2**63) for seed in seeds]
        self.noise: list[list[Tensor]] = [[] for _ in seeds]  # what is left of a block, reversed
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p

    def draw(self, logits: Tensor, replies: Sequence[int]) -> list[int]:
        """Return one token for each row of logits (B, V); row i is of reply `replies[i]`.

        Tokens at -inf are never drawn. What a reply draws depends on its seed, its logits and on
        how often it drew before.
        """
        kept, order = truncated(
            logits, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p
        )
        noise = torch.stack([self._noise(reply, kept.shape[-1]) for reply in replies])
        best = (kept + noise.to(kept.device)).argmax(dim=-1, keepdim=True)
        drawn: list[int] = order.gather(-1, best)[:, 0].tolist()
        return drawn

    def _noise(self, reply: int, width: int) -> Tensor:
        left = self.noise[reply]
        if not left:
            uniform = torch.rand(_BLOCK, width, generator=self.generators[reply])
            gumbel = -(-uniform.clamp(min=1e-9, max=1 - 1e-7).log()).log()
            left += reversed(gumbel.unbind())
        return left.pop()
