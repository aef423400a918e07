"""Replies to one prompt in the order in which sampling without replacement draws them.

Every reply runs with its log-probability plus Gumbel noise of its own. By falling sums, reply k is
distributed as the LLM's replies that are none of the k - 1 before it (Gumbel-top-k; Kool, van Hoof
and Welling 2019, "Stochastic Beams and Where to Find Them", arXiv 1903.06059). The sum of a prefix
is the largest among the replies that start so, and sums are drawn from the root downwards, each
under the condition of the one above it, so the best are found without all others being written.

The noise of a prefix is a function of the seed and of its tokens: in whatever order and in however
many batches a lot is looked at, it ends alike. A reply that is known from before does not count
where it comes in, which leaves the order of all others as it is. UniqueRandomizer (Shi, Bieber and
Sutton 2020, arXiv 2002.09067) draws from the same distribution: it takes the mass of what is known
out of the draw, for which all that is known must be scored again whenever the weights change. Here
only those known replies are read that would be drawn again, by the weights of the day.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

BESIDE = 16  # prefixes of known replies, at most, that are read on ahead beside those wanted
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_NOISE = 0xD1B54A32D192ED03  # tells a prefix's own noise from the keys of what follows it

Known: TypeAlias = dict[int, "Known"]  # by token
Floats: TypeAlias = NDArray[np.float64]


@dataclass(slots=True, eq=False, kw_only=True)
class Prefix:
    """The beginning of some replies; `answer` is None before a grammar has followed its token."""

    parent: Prefix | None
    token: int  # drawn after the parent's answer; -1: none, as this is the root
    mass: float  # log-probability of the replies that start so
    rank: float  # the largest sum of log-probability and noise among them
    key: int  # what the noise of all that follows is made from
    known: Known | None  # how known replies go on; None: none starts so
    answer: list[int] | None = None  # all tokens so far, forced ones included
    text: str | None = None  # of a reply that ended here
    later: Iterator[Prefix] | None = field(default=None, repr=False)  # siblings, by falling rank


class Lot:
    """The replies to one prompt under one grammar, as far as they were looked at."""

    def __init__(
        self,
        prompt: Sequence[int],
        grammar: str | None,
        *,
        seed: int,
        known: Mapping[str, Sequence[int]],
    ) -> None:
        """Begin with the empty reply. `known` has texts that do not count, with their tokens.

        The tokens only say which prefixes to look at ahead of time: a known text that was written
        in other tokens is left out as well.
        """
        self.prompt, self.grammar = tuple(prompt), grammar
        self.known = set(known)
        ways: Known = {}
        for tokens in known.values():
            place = ways
            for token in tokens:
                place = place.setdefault(token, {})
        self.root = Prefix(
            parent=None, token=-1, mass=0.0, rank=0.0, key=seed % 2**64, known=ways or None
        )
        self.front = [self.root]  # by falling rank; no reply starts with two of them

    def leaders(self, wanted: int) -> list[Prefix]:
        """Return the prefixes to be read on before the next `wanted` replies are known.

        Those are the best ones, replies that ended included; what starts known replies comes on
        top. Empty where all are known, or where there are no more.
        """
        waiting: list[Prefix] = []
        texts: set[str] = set()
        new = at = 0
        while at < len(self.front) and new < wanted and len(waiting) < wanted + BESIDE:
            prefix = self.front[at]
            if prefix.later is not None:
                self._enter(prefix.later)
                prefix.later = None
            if prefix.text is None:
                waiting.append(prefix)
                new += prefix.known is None
            elif prefix.text in self.known or prefix.text in texts:
                del self.front[at]
                continue
            else:
                texts.add(prefix.text)
                new += 1
            at += 1
        return waiting

    def follow(self, prefix: Prefix, answer: list[int], text: str | None) -> None:
        """Tell a prefix all of its tokens, and the text where they are a whole reply."""
        before = 0 if prefix.parent is None else len(prefix.parent.answer or ()) + 1
        for token in answer[before:]:
            prefix.known = prefix.known.get(token) if prefix.known is not None else None
        prefix.answer, prefix.text = answer, text

    def arrived(self, wanted: int) -> list[list[int]]:
        """Return the next `wanted` replies, or all that are left; no leader may be waiting."""
        return [each.answer or [] for each in self.front[:wanted] if each.text is not None]

    def take(self, wanted: int) -> None:
        """Let the next `wanted` replies be known from now on."""
        self.known.update(each.text for each in self.front[:wanted] if each.text is not None)
        del self.front[:wanted]

    def expand(self, prefix: Prefix, children: Iterator[Prefix]) -> None:
        """Put what may follow instead of a prefix, by falling rank."""
        self.front.remove(prefix)
        self._enter(children)

    def _enter(self, prefixes: Iterator[Prefix]) -> None:
        """Add the best of some prefixes; the next comes in when this one is looked at."""
        best = next(prefixes, None)
        if best is not None:
            best.later = prefixes
            insort(self.front, best, key=lambda prefix: -prefix.rank)


def expand(rows: Sequence[tuple[Lot, Prefix]], tokens: NDArray[np.int64], logs: Floats) -> None:
    """Put what may follow instead of prefixes.

    Row i of `tokens` and of `logs`, their log-probabilities (B, K), by falling value, may follow
    prefix i; -inf never does.
    """
    parents = [prefix for _, prefix in rows]
    if not np.isfinite(logs[:, 0]).all():
        raise RuntimeError("a grammar leaves no token that a reply may go on with")
    keys = np.array([[parent.key] for parent in parents], dtype=np.uint64)
    keys = _mixed(keys + (tokens + 1).astype(np.uint64) * np.uint64(_GOLDEN))
    masses = logs + np.array([[parent.mass] for parent in parents])
    ranks = _below(np.array([[parent.rank] for parent in parents]), masses + _gumbel(keys))
    order = np.argsort(-ranks, axis=1, kind="stable")
    for row, (lot, parent) in enumerate(rows):
        count = int(np.isfinite(ranks[row]).sum())
        best = order[row, :count]
        columns = tokens[row, best], masses[row, best], ranks[row, best], keys[row, best]
        lot.expand(parent, _children(parent, *columns))


def _children(
    parent: Prefix,
    tokens: NDArray[np.int64],
    masses: Floats,
    ranks: Floats,
    keys: NDArray[np.uint64],
) -> Iterator[Prefix]:
    for at, token in enumerate(tokens.tolist()):
        yield Prefix(
            parent=parent,
            token=token,
            mass=float(masses[at]),
            rank=float(ranks[at]),
            key=int(keys[at]),
            known=parent.known.get(token) if parent.known is not None else None,
        )


def _below(tops: Floats, ranks: Floats) -> Floats:
    """Return ranks (B, V) under the condition that the largest of row i is `tops[i]` (B, 1).

    That is -log(exp(-top) - exp(-largest) + exp(-rank)), the truncated Gumbel of Kool et al.
    """
    with np.errstate(divide="ignore"):
        beyond = np.log(-np.expm1(ranks - ranks.max(axis=1, keepdims=True)))
    found: Floats = -np.logaddexp(-tops, beyond - ranks)
    return found


def _gumbel(keys: NDArray[np.uint64]) -> Floats:
    """Return standard Gumbel noise, a function of the keys."""
    bits = _mixed(keys ^ np.uint64(_NOISE)) >> np.uint64(12)
    found: Floats = -np.log(-np.log((bits + 0.5) * 2.0**-52))
    return found


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's output for some states (Steele, Lea and Flood 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(_FIRST)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(_SECOND)
    return numbers ^ (numbers >> np.uint64(31))
