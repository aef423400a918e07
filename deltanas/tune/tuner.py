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
    reward: float  # where objectives compare answers, as in `rewards`; else a gain, 0: unknown
    finished: bool = True  # False: it was cut, so nothing says that it ends there


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One prompt with answers to it."""

    name: str  # for messages
    prompt: str  # the user turn, before the chat template
    answers: tuple[Answer, ...]
    real: bool = False  # not of the search's own making: to be imitated, whatever the objective


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneResult:
    """What one cycle of tuning came to."""

    loss_before: float  # held-out loss per answer token, nats
    loss_after: float | None  # of the new weights, kept or not; None: the training diverged
    kept: bool  # False: the adapter is what it was before this cycle
    steps: int  # optimizer steps
    tokens: int  # of all answers over all epochs, with prompts; a shared prompt counts again
    seconds: float


class Guard(Protocol):
    """Watches over more than a loss can tell."""

    def count(self) -> int:
        """Return a figure of the LLM as it is now; larger is better."""
        ...

    def worse(self, before: int, after: int) -> bool:
        """Return whether a figure fell by more than chance explains."""
        ...


class Tuner(Protocol):
    """Teaches an LLM, cycle after cycle."""

    def fits(self, lesson: Lesson) -> bool:
        """Return whether the LLM can be taught the prompt with each of its answers."""
        ...

    def learn(
        self,
        lessons: Sequence[Lesson],
        held_out: Sequence[Lesson],
        *,
        seed: int,
        directory: Path,
        guard: Guard | None = None,
    ) -> TuneResult:
        """Train on lessons, save what came of it, and keep it unless it is seen to be worse."""
        ...

    def load(self, directory: Path) -> None:
        """Go on from what `learn` saved."""
        ...
