"""Pairs small enough for a byte tokenizer."""

from __future__ import annotations

from deltanas.tune import Pair


def make_pair(number: int, **changes: object) -> Pair:
    """Return a small pair; every number has a baseline and an answer of its own."""
    fields = {
        "pair_id": f"p{number}",
        "baseline_id": f"b{number}",
        "family": "plain",
        "dataset": "digits",
        "prompt": f"delta\nx = {number}\n",
        "answer": f"@@\n-x = {number}\n+x = {number + 1}\n",
        "gain": 0.1,
    }
    return Pair(**(fields | changes))  # type: ignore[arg-type]
