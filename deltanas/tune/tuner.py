"""What an LLM learns from, and what teaches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer to a prompt, and how good it was."""

    text: str
    reward: float  # for a delta, its gain in proxy accuracy, in [-1, 1]; 0 where it is unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One prompt with answers to it."""

    name: str  # for messages
    prompt: str  # the user turn, before the chat template
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneResult:
    """What one cycle of tuning came to."""

    loss_before: float  # held-out loss per answer token, nats
    loss_after: float | None  # of the new weights, kept or not; None: the training diverged
    kept: bool  # False: the adapter is what it was before this cycle
    steps: int  # optimizer steps
    tokens: int  # of all answers over all epochs, with prompts; a shared prompt counts again
    seconds: float


class Tuner(Protocol):
    """Teaches an LLM, cycle after cycle."""

    def fits(self, lesson: Lesson) -> bool:
        """Return whether the prompt and each of its answers fit the LLM's context together."""
        ...

    def learn(
        self, lessons: Sequence[Lesson], held_out: Sequence[Lesson], *, seed: int, directory: Path
    ) -> TuneResult:
        """Train on lessons, keep what came of it unless `held_out` got worse, and save it."""
        ...

    def load(self, directory: Path) -> None:
        """Go on from what `learn` saved."""
        ...
