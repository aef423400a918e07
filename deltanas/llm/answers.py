"""The answers to a batch of prompts while they grow, and attention of their new tokens.

Tokens of all replies go through the LLM as one packed sequence, each reply with as many as it has,
so linear layers compute nothing for padding. A prompt's keys and values are kept once, whatever
the number of replies to it; those of the answers follow, and a mask says what each reply sees.
Replies that go on from one place share what stands before it.

H heads and K heads of keys and values, D channels a head, G = H / K, T tokens in the pack.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from deltanas.llm.attention import Prompt

# Prompts share one padded product where the longest has at most so many times the tokens of the
# shortest: a GPU pays for every launched kernel, a CPU for every number it reads.
PADDING = {"cpu": 1.0, "cuda": 1.3}
NEW = -1  # in the place of the reply that another one goes on from: it begins at the prompt


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

    def branch(self, prompt: int, sources: Sequence[int]) -> None:
        """Let reply i to a prompt go on from where reply `sources[i]` is, or from the prompt."""
        for part in self.parts:
            if prompt < len(part.written):
                part.branch(prompt, sources)
                return
            prompt -= len(part.written)

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
        self.asked = asked[:, None].to(self.keys[0].device)  # (B, 1, L), places of the prompt
        self.seen = self.asked.repeat(1, replies, 1)  # (B, R, L), what a reply sees
        # of the step: all tokens, the most of one prompt, and the places in use after it
        self.tokens = self.longest = self.end = 0
        self.places = self.spread = lengths.new_empty(0).to(self.keys[0].device)
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
        self._widen(self.end)
        numbers = torch.tensor(placed, device=self.seen.device)
        prompt, owner, place, order = numbers.unbind(dim=1)
        self.places = prompt * self.width + place
        self.spread = prompt * self.longest + order
        self.seen[prompt, owner, place] = True
        self.mask = None if self.alone and self.tokens == 1 else self._mask(owner, place)

    def branch(self, row: int, sources: Sequence[int]) -> None:
        """Let reply i to a prompt see from now on what reply `sources[i]` sees, or the prompt."""
        self.alone = False
        if (more := len(sources) - self.seen.shape[1]) > 0:
            self.seen = pad(self.seen, (0, 0, 0, more))
        before = torch.cat([self.seen[row], self.asked[row]])  # NEW is the last
        self.seen[row, : len(sources)] = before[list(sources)]

    def _widen(self, end: int) -> None:
        """Make room up to a place; replies that were given up keep what they took."""
        if end <= self.width:
            return
        more = max(end - self.width, self.width - self.start)
        self.width += more
        self.asked, self.seen = (pad(each, (0, more)) for each in (self.asked, self.seen))
        for kept in (self.keys, self.values):
            for layer, each in enumerate(kept):
                kept[layer] = pad(each, (0, 0, 0, more))

    def _mask(self, reply: Tensor, place: Tensor) -> Tensor:
        """Return 0 where a token sees a place and -inf elsewhere: (B, 1, longest * G, end)."""
        rows = len(self.written)
        own = reply.new_zeros(2, rows * self.longest)
        own.index_copy_(1, self.spread, torch.stack([reply, place]))
        reply, place = own.view(2, rows, self.longest)
        prompt = torch.arange(rows, device=reply.device)[:, None]
        before = torch.arange(self.end, device=reply.device) <= place[..., None]
        seen = self.seen[:, :, : self.end][prompt, reply] & before
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
