"""Earlier deltas of a search as examples in the prompt, for an LLM that is not tuned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from random import Random

from deltanas.propose.prompt import plain_reason
from deltanas.records import Attempt, Request, Verdict, derive_seed


def choose_examples(request: Request, count: int) -> list[Attempt]:
    """Return up to `count` known rows on the request's data set that have a delta, none twice.

    Half of them gained, where there are so many, and the others lost or failed, in turns; of each
    half the children of the same baseline come first, then those of its family; drawn by the
    request's seed.
    """
    slot, rng = request.slot, Random(derive_seed(request.seed, "examples"))
    rows = {
        row.delta: row
        for row in request.known
        if row.delta
        and row.dataset == slot.dataset
        and not row.degenerate
        and row.verdict is not Verdict.INFRASTRUCTURE
        and (row.gain is not None or row.verdict is not Verdict.TRAINED)
    }
    drawn = rng.sample(list(rows.values()), len(rows)) if count else []
    drawn.sort(
        key=lambda row: (
            row.parent_id != slot.baseline.baseline_id,
            row.family != slot.baseline.family,
        )
    )
    sides = [[row for row in drawn if _gained(row) is side] for side in (True, False)]
    turns = chain(*zip_longest(*sides))
    return [row for row in turns if row is not None][:count]


def examples_text(rows: Sequence[Attempt]) -> str:
    """Return what stands for `$examples`: what came of each delta, and the delta.

    An empty line comes before each, so that a template without examples has no gap.
    """
    return "".join(f"\n{_outcome(row)}\n{row.delta.rstrip()}\n" for row in rows)


def _gained(row: Attempt) -> bool:
    return row.gain is not None and row.gain > 0


def _outcome(row: Attempt) -> str:
    """Return one line: the gain in points of validation accuracy, or what was wrong."""
    if row.gain is None:
        outcome = f"failed ({row.verdict}: {plain_reason(row)})"
    else:
        outcome = f"{'gained' if row.gain > 0 else 'lost'} {100 * abs(row.gain):.1f} points"
    return f"This change of {row.parent_id} {outcome}:"
