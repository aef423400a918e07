"""Sampling with one random stream per reply, so that batches do not share their draws."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class SeededSampling:
    """Turns greedy decoding into seeded sampling; a transformers `LogitsProcessor`.

    Scores are cut to the top k and the top-p nucleus at the given temperature, then Gumbel
    noise of the row's own generator is added: the largest sum is a draw from the softmax
    (Gumbel-max).
    """

    def __init__(
        self, seeds: Sequence[int], *, temperature: float, top_k: int, top_p: float
    ) -> None:
        """Keep one generator per row of the batch; temperature > 0, 0 < top_p <= 1, top_k >= 1."""
        self.generators = [torch.Generator().manual_seed(seed % 2**63) for seed in seeds]
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return noisy scores (B, V); forbidden tokens stay at -inf."""
        logits = scores.float() / self.temperature
        kept, order = logits.topk(min(self.top_k, logits.shape[-1]), dim=-1)
        probabilities = kept.softmax(dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities  # mass of the likelier tokens
        kept = kept.masked_fill(before >= self.top_p, float("-inf"))
        noise = torch.stack(
            [torch.rand(kept.shape[-1], generator=generator) for generator in self.generators]
        ).clamp(min=1e-9, max=1 - 1e-7)
        kept = kept - (-noise.log()).log().to(kept.device)
        return torch.full_like(logits, float("-inf")).scatter(-1, order, kept)
