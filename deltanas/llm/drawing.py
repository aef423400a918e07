"""The sampling loop of lots: prompts are read once, and so is what replies start alike with.

A step reads on every prefix that leads a lot. Those that start alike share what was read; one
that others had left behind is read again from the prompt where it comes to lead after all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from deltanas.llm.answers import NEW, Answers
from deltanas.llm.attention import own_attention
from deltanas.llm.decoding import Decoder, Row
from deltanas.llm.locked import Locks
from deltanas.llm.lots import Lot, Prefix, expand

Cut = Callable[[Tensor], tuple[Tensor, Tensor]]  # logits (B, V) to those kept and their tokens


class Drawing:
    """Runs lots side by side."""

    def __init__(
        self,
        decoder: Decoder,
        cut: Cut,
        locks: Locks | None,
        text_of: Callable[[Sequence[int]], str],
    ) -> None:
        """`text_of` gives the text of a whole reply; without `locks` grammars do not count."""
        self.decoder, self.cut, self.locks, self.text_of = decoder, cut, locks, text_of
        self._read: dict[Prefix, int] = {}  # in the last step, and its number at its prompt
        self._starts: dict[Lot, tuple[int, tuple[int, ...]]] = {}  # number and tokens of prompts

    def run(self, wanted: Mapping[Lot, int]) -> None:
        """Run lots until the next replies have arrived, so many of each, or all that there are.

        A lot whose drawing broke off, as for want of memory, may run in another.
        """
        waiting = {lot: n for lot, n in wanted.items() if self._leaders(lot, n)}
        if waiting:
            with torch.inference_mode(), own_attention(self.decoder.network):
                self._run(waiting)

    def _run(self, wanted: Mapping[Lot, int]) -> None:
        starts = {lot: (*lot.prompt, *(lot.root.answer or ())) for lot in wanted}
        read, first = self.decoder.read(list(starts.values()))
        order = {start: i for i, start in enumerate(read)}
        self._starts = {lot: (order[start], start) for lot, start in starts.items()}
        lots = sorted(wanted, key=lambda lot: self._starts[lot][0])
        replies = [0] * len(read)
        for lot in lots:
            replies[self._starts[lot][0]] += wanted[lot]
        memory = Answers(list(read.values()), replies, self.decoder.longest)
        if new := [(lot, lot.root) for lot in lots if lot.root in lot.front]:
            self._expand(new, first[[self._starts[lot][0] for lot, _ in new]])
        while rows := [(lot, each) for lot in lots for each in self._leaders(lot, wanted[lot])]:
            self._expand(rows, self._step(memory, rows))

    def _leaders(self, lot: Lot, wanted: int) -> list[Prefix]:
        """Return what must be read on, each with all its tokens."""
        while True:
            leaders = lot.leaders(wanted)
            new = [prefix for prefix in leaders if prefix.answer is None]
            if not new:
                return leaders
            for prefix in new:
                self._follow(lot, prefix)

    def _follow(self, lot: Lot, prefix: Prefix) -> None:
        """Take a drawn token, and those that a grammar forces after it."""
        answer = [] if prefix.parent is None else [*_answer(prefix.parent), prefix.token]
        drawn = len(answer)
        if self.locks and lot.grammar is not None:
            if prefix.parent is None:
                self.locks.begin(prefix, lot.grammar)
                answer = self.locks.forced(prefix)
            elif prefix.token not in self.decoder.ends:
                self._lock(lot, prefix.parent)
                self.locks.branch(prefix, prefix.parent)
                answer += self.locks.follow(prefix, prefix.token)
        answer = answer[: self.decoder.longest]
        self.decoder.work.sampled += min(drawn, 1)
        self.decoder.work.forced += len(answer) - drawn
        lot.follow(prefix, answer, self.text_of(answer) if self.decoder.ended(answer) else None)

    def _lock(self, lot: Lot, prefix: Prefix) -> None:
        """Put the grammar behind a prefix, where it is not there."""
        if self.locks and lot.grammar is not None and prefix not in self.locks.matchers:
            self.locks.begin(prefix, lot.grammar, _answer(prefix))

    def _step(self, memory: Answers, prefixes: Sequence[tuple[Lot, Prefix]]) -> Tensor:
        """Read what is new of every prefix; return the logits after each (B, V)."""
        rows: list[Row] = []
        sources: dict[int, list[int]] = defaultdict(list)
        for lot, prefix in prefixes:
            prompt, start = self._starts[lot]
            source = NEW if prefix.parent is None else self._read.get(prefix.parent, NEW)
            root = len(_answer(lot.root))
            begun = root if source == NEW or prefix.parent is None else len(_answer(prefix.parent))
            answer = _answer(prefix)
            row = Row(0, start, answer, prompt, len(sources[prompt]), begun - root, answer[begun:])
            rows.append(row)
            sources[prompt].append(source)
        for prompt, each in sources.items():
            if each != list(range(len(each))):
                memory.branch(prompt, each)
        self._read = {p: row.sibling for (_, p), row in zip(prefixes, rows, strict=True)}
        return self.decoder.step(memory, rows)

    def _expand(self, rows: Sequence[tuple[Lot, Prefix]], logits: Tensor) -> None:
        """Put what may follow in the place of prefixes, by their logits (B, V)."""
        if self.locks:
            for lot, prefix in rows:
                self._lock(lot, prefix)
            prefixes = [prefix for _, prefix in rows]
            self.locks.matchers = {prefix: self.locks.matchers[prefix] for prefix in prefixes}
            logits = self.locks.mask(logits, prefixes)
        kept, tokens = self.cut(logits)
        expand(rows, tokens.cpu().numpy(), kept.double().log_softmax(dim=-1).cpu().numpy())


def _answer(prefix: Prefix) -> list[int]:
    if prefix.answer is None:
        raise RuntimeError("a prefix was read before a grammar had followed its token")
    return prefix.answer
