"""What a proposer and an LLM are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from deltanas.records.networks import Baseline, Proposal, Slot
from deltanas.records.runs import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One delta to be written: the baseline of a slot is to be edited."""

    slot: Slot
    seed: int
    known: tuple[Attempt, ...] = ()  # every earlier attempt of the search, in its order
    parents: tuple[Baseline, ...] = ()  # the networks that they edited
    failed: tuple[Attempt, ...] = ()  # the attempt to be mended, where this request mends one
    replies: tuple[Proposal, ...] = ()  # that came before, to this baseline on this data set


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What an LLM is not to answer to a prompt, as it was drawn before."""

    topic: str  # replies to one prompt that share it are not to be alike, either
    texts: frozenset[str]  # as the LLM wrote them
