"""Pairs small enough for a byte tokenizer."""

from __future__ import annotations

from deltanas.config.schema import Config
from deltanas.search.parts import lora_settings
from deltanas.tune import Pair
from deltanas.tune.tuner import Lesson

PAPER = lora_settings(Config())


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


def make_lesson(number: int, **changes: object) -> Lesson:
    """Return a small lesson with one answer."""
    return make_pair(number, **changes).lesson()
