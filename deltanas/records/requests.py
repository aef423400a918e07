"""What a proposer is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from deltanas.records.networks import Baseline, Slot
from deltanas.records.runs import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One delta to be written: the baseline of a slot is to be edited."""

    slot: Slot
    seed: int
    parents: tuple[Baseline, ...] = ()  # further networks, whose changes may be taken over
    failed: tuple[Attempt, ...] = ()  # earlier attempts at it, with their reasons
