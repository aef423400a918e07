"""How attempts fall through the gates: which gate stopped how many, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deltanas.records import Attempt, Verdict
from deltanas.report.metrics import count_verdicts, is_useful, is_valid

GATES: tuple[tuple[str, tuple[Verdict, ...]], ...] = (
    ("Reply holds a delta", (Verdict.NO_DELTA, Verdict.TRUNCATED)),
    ("Delta applies", (Verdict.MALFORMED, Verdict.MISAPPLIED, Verdict.AMBIGUOUS, Verdict.NO_OP)),
    ("Source is admissible", (Verdict.SYNTAX, Verdict.POLICY, Verdict.INTERFACE)),
    ("Network is new", (Verdict.NOT_NOVEL,)),
    ("Network builds", (Verdict.BUILD, Verdict.SHAPE, Verdict.TOO_LARGE)),
    (
        "One epoch completes",
        (Verdict.DIVERGED, Verdict.OUT_OF_MEMORY, Verdict.TIMED_OUT, Verdict.KILLED),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate of the funnel."""

    title: str
    entered: int
    passed: int
    stopped: tuple[tuple[str, int], ...]  # why, and how many; only what occurred


def funnel(attempts: Sequence[Attempt]) -> list[Gate]:
    """Return the gates in order: those of the verdicts, then the two that make a valid one useful.

    Infrastructure failures never enter: they judge no candidate. The novelty gate is listed only
    where it stopped something, as it usually decides admission instead of training.
    """
    counts = count_verdicts(attempts)
    entered = len(attempts) - counts[Verdict.INFRASTRUCTURE]
    gates = []
    for title, members in GATES:
        stopped = {str(verdict): counts[verdict] for verdict in members if counts[verdict]}
        if stopped or Verdict.NOT_NOVEL not in members:
            gates.append(_gate(title, entered, stopped))
            entered = gates[-1].passed
    lost = Counter(_why_not_useful(attempts))
    for title, why in (
        ("Beats the majority class", "degenerate"),
        ("Joins the pool", "not admitted"),
    ):
        gates.append(_gate(title, entered, {why: lost[why]} if lost[why] else {}))
        entered = gates[-1].passed
    return gates


def _gate(title: str, entered: int, stopped: dict[str, int]) -> Gate:
    passed = entered - sum(stopped.values())
    return Gate(title=title, entered=entered, passed=passed, stopped=tuple(stopped.items()))


def _why_not_useful(attempts: Iterable[Attempt]) -> Iterable[str]:
    for attempt in attempts:
        if is_valid(attempt) and not is_useful(attempt):
            yield "degenerate" if attempt.degenerate else "not admitted"
