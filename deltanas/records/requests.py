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
    known: tuple[Attempt, ...] = ()  # every earlier attempt of the search, in its order
    parents: tuple[Baseline, ...] = ()  # the networks that they edited
    failed: tuple[Attempt, ...] = ()  # the attempt to be mended, where this request mends one
