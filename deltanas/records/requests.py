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
    parents: tuple[Baseline, ...] = ()  # further networks, whose changes may be taken over
    failed: tuple[Attempt, ...] = ()  # earlier attempts at it, with their reasons
    replies: tuple[Proposal, ...] = ()  # that came before, to this baseline on this data set


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What an LLM is not to answer to a prompt, as it was drawn before."""

    topic: str  # replies to one prompt that share it are not to be alike, either
    texts: frozenset[str]  # as the LLM wrote them
