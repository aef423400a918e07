"""The sampling loop: every prompt is read once, copied text is not sampled, ended replies leave.

The loop of transformers computes a batch until its last reply ends, reads equal prompts again and
spends one forward pass on every token, forced or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from deltanas.llm.answers import Answers
from deltanas.llm.attention import Pack, Prompt, own_attention
from deltanas.llm.loading import LLMError
from deltanas.llm.locked import Locks
from deltanas.llm.sampling import SeededSampling


@dataclass(slots=True)
class Work:
    """What decoding took, counted; noise of the machine does not move it."""

    forwards: int = 0  # forward passes of the LLM, over prompts and over new tokens
    read: int = 0  # tokens of prompts that went through the LLM
    sampled: int = 0  # tokens drawn
    forced: int = 0  # tokens of answers that a grammar left no choice about


@dataclass(slots=True)
class Row:
    """One reply while it is written."""

    reply: int
    start: tuple[int, ...]  # the prompt, and what the grammar forces at its start
    answer: list[int]
    prompt: int = 0  # among the distinct ones
    sibling: int = 0  # among the replies to it
    written: int = 0  # tokens after `start` that were read
    new: list[int] = field(default_factory=list)  # tokens that are next to be read


class Decoder:
    """Writes the answers of one batch with a causal LM of transformers.

    The LLM must attend through transformers' AttentionInterface and keep nothing else of the
    past; LLMError where it does not.
    """

    def __init__(self, network: Any, *, ends: Sequence[int], longest: int) -> None:
        """Write up to `longest` tokens an answer; any token of `ends` is its last."""
        self.network, self.ends, self.longest = network, list(ends), longest
        self.work = Work()

    def decode(
        self, prompts: Sequence[Sequence[int]], sampling: SeededSampling, locks: Locks | None
    ) -> list[list[int]]:
        """Return the tokens of every answer, up to and with its end."""
        rows = []
        for reply, prompt in enumerate(prompts):
            forced = locks.forced(reply)[: self.longest] if locks else []
            self.work.forced += len(forced)
            rows.append(Row(reply, (*prompt, *forced), forced))
        answers = [row.answer for row in rows]
        rows = [row for row in rows if not self.ended(row.answer)]
        if rows:
            with torch.inference_mode(), own_attention(self.network):
                self._write(rows, sampling, locks)
        return answers

    def _write(self, rows: list[Row], sampling: SeededSampling, locks: Locks | None) -> None:
        read, first = self.read([row.start for row in rows])
        order = {start: i for i, start in enumerate(read)}
        for row in rows:
            row.prompt = order[row.start]
        rows.sort(key=lambda row: row.prompt)
        replies = [0] * len(read)
        for row in rows:
            row.sibling = replies[row.prompt]
            replies[row.prompt] += 1
        logits = first[torch.tensor([row.prompt for row in rows], device=first.device)]
        memory = Answers(list(read.values()), replies, self.longest)
        while True:
            drawn = [row.reply for row in rows]
            if locks:
                logits = locks.mask(logits, drawn)
            for row, token in zip(rows, sampling.draw(logits, drawn), strict=True):
                forced = locks.follow(row.reply, token) if locks and token not in self.ends else []
                row.new = [token, *forced][: self.longest - len(row.answer)]
                row.answer += row.new
                self.work.sampled += 1
                self.work.forced += len(row.new) - 1
            rows = [row for row in rows if not self.ended(row.answer)]
            if not rows:
                return
            logits = self.step(memory, rows)

    def ended(self, answer: Sequence[int]) -> bool:
        """Tell whether an answer has come to its end or to its longest."""
        return len(answer) >= self.longest or any(token in self.ends for token in answer[-1:])

    def read(
        self, starts: Sequence[tuple[int, ...]]
    ) -> tuple[dict[tuple[int, ...], Prompt], Tensor]:
        """Read every distinct start once; return them by length, and the logits after each.

        In lexical order, none starts more like another than like the one before it.
        """
        read: dict[tuple[int, ...], tuple[Prompt, Tensor]] = {}
        before: tuple[int, ...] = ()
        for start in sorted(set(starts)):
            alike = _alike(before, start)
            prompt = Prompt(read[before][0] if alike else None, alike)
            places = range(alike, len(start))
            logits = self._forward(prompt, start[alike:], places, [len(start) - alike - 1])
            read[start] = prompt, logits
            self.work.read += len(start) - alike
            before = start
        layers = self.network.config.get_text_config().num_hidden_layers
        if (found := len(read[before][0].keys)) != layers:
            raise LLMError(
                f"{found} of the {layers} layers of {type(self.network).__name__} attend through"
                " transformers' AttentionInterface; all must"
            )
        by_length = sorted(read, key=len)
        prompts = {start: read[start][0] for start in by_length}
        return prompts, torch.cat([read[start][1] for start in by_length])

    def step(self, memory: Answers, rows: Sequence[Row]) -> Tensor:
        """Read the new tokens of all rows; return the logits after the last of each (B, V)."""
        tokens: list[int] = []
        places: list[int] = []
        last: list[int] = []
        for row in rows:
            start = len(row.start) + row.written
            places += range(start, start + len(row.new))
            tokens += row.new
            last.append(len(tokens) - 1)
        memory.place([(row.prompt, row.sibling, len(row.new)) for row in rows])
        for row in rows:
            row.written += len(row.new)
        return self._forward(memory, tokens, places, last)

    def _forward(
        self, pack: Pack, tokens: Sequence[int], places: Sequence[int], last: Sequence[int]
    ) -> Tensor:
        device = self.network.device
        numbers = torch.tensor([list(tokens), list(places)], device=device)
        self.work.forwards += 1
        found = self.network(
            input_ids=numbers[:1],
            position_ids=numbers[1:],
            use_cache=False,
            logits_to_keep=torch.tensor(last, device=device),
            pack=pack,
        )
        logits: Tensor = found.logits[0]
        return logits


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two prompts start alike with."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
