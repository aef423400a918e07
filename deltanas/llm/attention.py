"""Keys and values of a batch of prompts and the replies to them, and attention over both.

Tokens of all replies go through the LLM as one packed sequence, each reply with as many as it has,
so linear layers compute nothing for padding. A prompt's keys and values are kept once, whatever
the number of replies to it; those of the answers follow, and a mask keeps replies apart.

H heads and K heads of keys and values, D channels a head, G = H / K, T tokens in the pack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from deltanas.llm.loading import LLMError

_NAME = "deltanas"
# Prompts share one padded product where the longest has at most so many times the tokens of the
# shortest: a GPU pays for every launched kernel, a CPU for every number it reads.
PADDING = {"cpu": 1.0, "cuda": 1.3}
_ALL, _NOBODY = -1, -2  # who sees a place, where it is not one reply


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
            query = torch.nn.functional.pad(query, (0, 0, seen - tokens, 0))
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


class Answers:
    """The prompts of a batch, and the answers to them while these grow.

    Attention of a step that was placed.
    """

    def __init__(self, prompts: Sequence[Prompt], replies: Sequence[int], longest: int) -> None:
        """Make room for `replies[i]` answers to prompt i, of up to `longest` tokens each.

        Prompts come by length; their keys and values are taken out of them.
        """
        padding = PADDING.get(prompts[0].keys[0].device.type, 1.0)
        parts: list[list[Prompt]] = []
        counts: list[int] = []  # of replies to a prompt of the part, at most
        for prompt, count in zip(prompts, replies, strict=True):
            if parts and prompt.length <= padding * parts[-1][0].length:
                parts[-1].append(prompt)
                counts[-1] = max(counts[-1], count)
            else:
                parts.append([prompt])
                counts.append(count)
        self.parts = [_Part(*each, longest) for each in zip(parts, counts, strict=True)]

    def place(self, runs: Sequence[tuple[int, int, int]]) -> None:
        """Set the next step: (prompt, which reply to it, new tokens) of each reply, by prompt."""
        first = 0
        for part in self.parts:
            last = first + len(part.written)
            part.place([(i - first, reply, new) for i, reply, new in runs if first <= i < last])
            first = last

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Keep keys and values; every token sees its prompt and its answer."""
        sizes = [part.tokens for part in self.parts]
        each = zip(
            self.parts, *(torch.split(x, sizes, dim=1) for x in (query, key, value)), strict=True
        )
        return torch.cat([part.attend(layer, *mine) for part, *mine in each if part.tokens])


class _Part:
    """B prompts of similar length, each with up to `replies` answers.

    Keys and values of a layer are (K, B, L, D): places for the longest prompt, then one for each
    token of an answer in the order of writing, whichever reply to the prompt it belongs to.
    """

    def __init__(self, prompts: Sequence[Prompt], replies: int, longest: int) -> None:
        lengths = torch.tensor([prompt.length for prompt in prompts])
        self.start = int(lengths.max())
        self.width = self.start + replies * longest
        self.written = [0] * len(prompts)  # tokens of answers
        self.alone = len(prompts) == replies == 1
        self.groups = prompts[0].groups
        layers = range(len(prompts[0].keys))  # one at a time, so that memory holds one twice
        self.keys = [self._stacked([each.keys.pop(0) for each in prompts]) for _ in layers]
        self.values = [self._stacked([each.values.pop(0) for each in prompts]) for _ in layers]
        asked = torch.arange(self.width) < lengths[:, None]
        self.owner = torch.where(asked, _ALL, _NOBODY).to(self.keys[0].device)  # (B, L)
        # of the step: all tokens, the most of one prompt, and the places in use after it
        self.tokens = self.longest = self.end = 0
        self.places = self.spread = self.owner.new_empty(0)
        self.mask: Tensor | None = None

    def _stacked(self, layers: Sequence[Tensor]) -> Tensor:
        """Return (K, B, L, D) from B of (K, P, D)."""
        heads, _, channels = layers[0].shape
        stacked = layers[0].new_empty(heads, len(layers), self.width, channels)
        if len(layers) > 1:
            stacked.zero_()  # places that one prompt has not filled when another has are read
        for row, layer in enumerate(layers):
            stacked[:, row, : layer.shape[1]] = layer
        return stacked

    def place(self, runs: Sequence[tuple[int, int, int]]) -> None:
        """Set the next step, as (prompt, which reply to it, new tokens)."""
        placed: list[tuple[int, int, int, int]] = []  # prompt, reply, place, number in the step
        counts = [0] * len(self.written)
        for row, reply, new in runs:
            begin = self.start + self.written[row]
            placed += [(row, reply, begin + i, counts[row] + i) for i in range(new)]
            counts[row] += new
            self.written[row] += new
        self.tokens, self.longest = len(placed), max(counts)
        if not placed:
            return
        self.end = self.start + max(self.written)
        numbers = torch.tensor(placed, device=self.owner.device)
        prompt, owner, place, order = numbers.unbind(dim=1)
        self.places = prompt * self.width + place
        self.spread = prompt * self.longest + order
        self.owner[prompt, place] = owner
        self.mask = None if self.alone and self.tokens == 1 else self._mask(owner, place)

    def _mask(self, reply: Tensor, place: Tensor) -> Tensor:
        """Return 0 where a token sees a place and -inf elsewhere: (B, 1, longest * G, end)."""
        owner, width = self.owner[:, None, : self.end], len(self.written) * self.longest
        own = owner.new_zeros(2, width).index_copy_(1, self.spread, torch.stack([reply, place]))
        reply, place = own.view(2, len(self.written), self.longest, 1)
        before = torch.arange(self.end, device=owner.device) <= place
        seen = (owner == _ALL) | ((owner == reply) & before)
        mask = self.keys[0].new_zeros(seen.shape).masked_fill_(~seen, float("-inf"))
        return mask.repeat_interleave(self.groups, dim=1)[:, None]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return (T, H, D) for the T tokens of this part."""
        keys, values = self.keys[layer], self.values[layer]
        keys.flatten(1, 2).index_copy_(1, self.places, key)
        values.flatten(1, 2).index_copy_(1, self.places, value)
        rows, heads, channels = len(self.written), key.shape[0], query.shape[-1]
        if rows > 1:
            spread = query.new_zeros(query.shape[0], rows * self.longest, channels)
            query = spread.index_copy_(1, self.spread, query)
        # the heads that share keys and values stand beside each other as queries
        query = query.view(heads, self.groups, rows, self.longest, channels)
        found = scaled_dot_product_attention(
            query.permute(2, 0, 3, 1, 4).flatten(2, 3),
            keys[:, :, : self.end].transpose(0, 1),
            values[:, :, : self.end].transpose(0, 1),
            attn_mask=self.mask,
            scale=1.0,
        )
        found = found.view(rows, heads, self.longest, self.groups, -1).transpose(1, 2)
        found = found.reshape(rows * self.longest, heads * self.groups, -1)
        return found[self.spread] if rows > 1 else found
