"""Keys and values of a batch of replies, prompts apart from answers, and attention over both.

Tokens of all replies go through the LLM as one packed sequence, each reply with as many as it has,
so linear layers compute nothing for padding. A prompt's keys and values are kept once, whatever
the number of replies to it. Attention to the prompt and to the answer so far are computed apart
and joined by their normalizers (as in cascade inference, https://flashinfer.ai/2024/02/02/cascade-inference.html).

H heads and K heads of keys and values, D channels a head, G = H / K, T tokens in the pack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from deltanas.propose.loading import LLMError

_NAME = "deltanas"
# Prompts share one padded product where the longest has at most so many times the tokens of the
# shortest: a GPU pays for every launched kernel, a CPU for every number it reads.
PADDING = {"cpu": 1.0, "cuda": 1.3}


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
        if tokens < seen:
            mask = query.new_ones(tokens, seen, dtype=torch.bool).tril(seen - tokens)
        groups = query.shape[0] // key.shape[0]
        attended = scaled_dot_product_attention(
            query[None],
            key.repeat_interleave(groups, dim=0)[None],
            value.repeat_interleave(groups, dim=0)[None],
            attn_mask=mask,
            is_causal=mask is None,
            scale=1.0,
        )
        return attended[0].transpose(0, 1)


@dataclass(slots=True)
class Places:
    """Where the tokens of one step stand: in the pack by prompt, then by reply."""

    tokens: int
    longest: int  # most tokens of one reply in this step
    rows: int  # slots in use
    seen: int  # most tokens of one answer, this step's included
    slot: Tensor  # (T,) slot of the token's reply
    offset: Tensor  # (T,) place of the token in its answer
    padded: Tensor  # (T,) place of the token when every slot has `longest`
    hidden: Tensor  # (rows, 1, longest, 1, seen): which places of the answer a token may not see
    prompts: list[int]  # tokens of each prompt's replies in this step


class Answers:
    """The answers of a batch while they grow, each in a slot, after their prompts.

    Attention of a step whose `places` were set.
    """

    places: Places

    def __init__(self, prompts: Sequence[Prompt], replies: int, longest: int) -> None:
        """Hold up to `longest` tokens of each of `replies` answers to prompts sorted by length.

        Takes the keys and values out of the prompts.
        """
        pairs = zip(prompts[0].keys, prompts[0].values, strict=True)
        layers = [(key.shape[0], key.shape[2], value.shape[2]) for key, value in pairs]
        empty = prompts[0].keys[0].new_zeros
        self.keys = [empty(replies, heads, longest, width) for heads, width, _ in layers]
        self.values = [empty(replies, heads, longest, width) for heads, _, width in layers]
        self.parts = _parts(prompts)

    def place(self, runs: Sequence[tuple[int, int, int, int]]) -> None:
        """Set the next step: (prompt, slot, answer so far, new tokens) of each reply, in order."""
        longest = max(new for *_, new in runs)
        rows = 1 + max(slot for _, slot, _, _ in runs)
        slot: list[int] = []
        offset: list[int] = []
        padded: list[int] = []
        seen = [0] * rows
        prompts = [0] * sum(len(part.lengths) for part in self.parts)
        for prompt, at, before, new in runs:
            prompts[prompt] += new
            seen[at] = before
            slot += [at] * new
            offset += range(before, before + new)
            padded += range(at * longest, at * longest + new)
        device = self.keys[0].device
        numbers = torch.tensor([slot, offset, padded], device=device)
        last = torch.tensor(seen, device=device)[:, None] + torch.arange(longest, device=device)
        width = max(before + new for _, _, before, new in runs)
        hidden = torch.arange(width, device=device) > last[..., None]  # (rows, longest, width)
        self.places = Places(
            tokens=len(slot),
            longest=longest,
            rows=rows,
            seen=width,
            slot=numbers[0],
            offset=numbers[1],
            padded=numbers[2],
            hidden=hidden[:, None, :, None],
            prompts=prompts,
        )
        first = 0
        for part in self.parts:
            first = part.place(prompts[first : first + len(part.lengths)], device) + first

    def move(self, source: int, target: int) -> None:
        """Put the answer of one slot into another."""
        for held in (*self.keys, *self.values):
            held[target] = held[source]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Write keys and values into their slots; every token sees its prompt and its answer."""
        places = self.places
        keys, values = self.keys[layer], self.values[layer]
        keys[places.slot, :, places.offset] = key.transpose(0, 1)
        values[places.slot, :, places.offset] = value.transpose(0, 1)
        heads, tokens, channels = query.shape
        queries = query.transpose(0, 1).reshape(tokens, key.shape[0], -1, channels)  # (T, K, G, D)
        answer, weight = _padded_attention(
            queries,
            keys[: places.rows, :, : places.seen],
            values[: places.rows, :, : places.seen],
            places.padded,
            places.longest,
            places.hidden,
        )
        found = [
            part.attend(layer, mine)
            for part, mine in zip(
                self.parts, torch.split(queries, [part.tokens for part in self.parts]), strict=True
            )
            if part.tokens
        ]
        prompt = torch.cat([each for each, _ in found])
        share = torch.sigmoid(torch.cat([each for _, each in found]) - weight)[..., None]
        joined = answer + share * (prompt - answer)
        return joined.to(query.dtype).reshape(tokens, heads, channels)


class _Part:
    """Prompts of similar length, stacked; keys and values (prompts, K, P, D) a layer."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self.lengths = [prompt.length for prompt in prompts]
        layers = range(len(prompts[0].keys))  # one at a time, so that memory holds one twice
        self.keys = [_stacked([prompt.keys.pop(0) for prompt in prompts]) for _ in layers]
        self.values = [_stacked([prompt.values.pop(0) for prompt in prompts]) for _ in layers]
        self.hidden: Tensor | None = None
        if len(set(self.lengths)) > 1:
            lengths = torch.tensor(self.lengths, device=self.keys[0].device)
            width = torch.arange(max(self.lengths), device=lengths.device)
            self.hidden = (width >= lengths[:, None])[:, None, None, None]
        self.tokens = self.longest = 0
        self.padded: Tensor | None = None

    def place(self, tokens: Sequence[int], device: torch.device) -> int:
        """Set how many tokens of this step belong to each prompt; return how many prompts."""
        self.tokens, self.longest = sum(tokens), max(tokens)
        self.padded = None
        if len(tokens) > 1:
            places = [
                prompt * self.longest + i for prompt, n in enumerate(tokens) for i in range(n)
            ]
            self.padded = torch.tensor(places, device=device)
        return len(tokens)

    def attend(self, layer: int, queries: Tensor) -> tuple[Tensor, Tensor]:
        return _padded_attention(
            queries,
            self.keys[layer],
            self.values[layer],
            self.padded,
            self.longest,
            self.hidden,
        )


def _parts(prompts: Sequence[Prompt]) -> list[_Part]:
    padding = PADDING.get(prompts[0].keys[0].device.type, 1.0)
    parts: list[list[Prompt]] = []
    for prompt in prompts:
        if parts and prompt.length <= padding * parts[-1][0].length:
            parts[-1].append(prompt)
        else:
            parts.append([prompt])
    return [_Part(part) for part in parts]


def _stacked(layers: Sequence[Tensor]) -> Tensor:
    """Return (n, K, P, D) from n of (K, p, D), zeros after the shorter ones."""
    if len(layers) == 1:
        return layers[0][None]
    heads, _, channels = layers[0].shape
    longest = max(layer.shape[1] for layer in layers)
    stacked = layers[0].new_zeros(len(layers), heads, longest, channels)
    for row, layer in zip(stacked, layers, strict=True):
        row[:, : layer.shape[1]] = layer
    return stacked


def _padded_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    places: Tensor | None,
    longest: int,
    hidden: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return what queries (T, K, G, D) find (T, K, G, D), and their log-normalizers (T, K, G).

    `places` spreads the T queries over B rows of `longest` each, for keys and values (B, K, L, D);
    None: there is one row. `hidden` (B, 1, 1 or longest, 1, L) is not seen.
    """
    tokens, heads, groups, channels = queries.shape
    rows = keys.shape[0]
    if places is not None:
        spread = queries.new_zeros(rows * longest, heads, groups, channels)
        queries = spread.index_copy_(0, places, queries)
    each = queries.shape[0] // rows
    flat = queries.view(rows, each, heads, groups, channels).transpose(1, 2).flatten(2, 3)
    scores = (flat @ keys.transpose(-1, -2)).float()  # (B, K, each * G, L)
    if hidden is not None:
        scores.view(rows, heads, each, groups, -1).masked_fill_(hidden, float("-inf"))
    weights = scores.logsumexp(dim=-1)
    found = scores.sub_(weights[..., None]).exp_().to(values.dtype) @ values
    found = found.view(rows, heads, each, groups, channels).transpose(1, 2).flatten(0, 1)
    weights = weights.view(rows, heads, each, groups).transpose(1, 2).flatten(0, 1)
    return (found, weights) if places is None else (found[places], weights[places])
