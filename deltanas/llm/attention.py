"""Attention that an LLM's layers call instead of their own, and keys and values of a prompt.

H heads and K heads of keys and values, D channels a head, P tokens of the prompt, T tokens of what
goes through the LLM together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface

from deltanas.llm.loading import LLMError

_NAME = "deltanas"


class Pack(Protocol):
    """Tokens that go through the LLM together; knows what each of them may see."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return (T, H, D) from scaled queries (H, T, D), and keys and values (K, T, D)."""
        ...


@contextmanager
def own_attention(network: Any) -> Iterator[None]:
    """Let the layers of an LLM call `attend` of the `pack` that its forward pass is given."""
    before = network.config._attn_implementation
    network.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        network.set_attn_implementation(before)


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    scaling: float,
    pack: Pack,
    **options: Any,
) -> tuple[Tensor, None]:
    for name in ("softcap", "s_aux", "position_bias"):
        if options.get(name) is not None:
            raise LLMError(f"{type(module).__name__} attends with {name}, which is not supported")
    attended = pack.attend(module.layer_idx, query[0] * scaling, key[0], value[0])
    return attended[None], None


AttentionInterface.register(_NAME, _attention)


class Prompt:
    """One prompt: its keys and values, one pair (K, P, D) a layer, once it was read.

    The first `alike` tokens are those of another prompt and are not computed again.
    """

    def __init__(self, like: Prompt | None = None, alike: int = 0) -> None:
        self.like, self.alike = like, alike
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.groups = 1  # G

    @property
    def length(self) -> int:
        """Return the number of tokens."""
        return self.keys[0].shape[1]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Read: every token sees those before it."""
        if self.like is not None:
            key = torch.cat([self.like.keys[layer][:, : self.alike], key], dim=1)
            value = torch.cat([self.like.values[layer][:, : self.alike], value], dim=1)
        self.keys.append(key.contiguous())
        self.values.append(value.contiguous())
        tokens, seen = query.shape[1], key.shape[1]
        mask = None
        if seen < 2 * tokens:  # kernels skip what a causal mask hides, and no other mask
            query = pad(query, (0, 0, seen - tokens, 0))
        else:
            mask = query.new_ones(tokens, seen, dtype=torch.bool).tril(seen - tokens)
        self.groups = query.shape[0] // key.shape[0]
        attended = scaled_dot_product_attention(
            query[None],
            key.repeat_interleave(self.groups, dim=0)[None],
            value.repeat_interleave(self.groups, dim=0)[None],
            attn_mask=mask,
            is_causal=mask is None,
            scale=1.0,
        )
        return attended[0, :, -tokens:].transpose(0, 1)
