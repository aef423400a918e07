"""Which candidates are trained for longer, to ask whether one epoch preserves the ranking."""

from __future__ import annotations

from collections.abc import Sequence


def stratify(ranked: Sequence[str], n: int) -> list[str]:
    """Return `n` ids spread evenly over a ranking, both ends included; all where there are fewer.

    The best alone would restrict the range, which weakens a rank correlation whatever the truth.
    """
    if n >= len(ranked):
        return list(ranked)
    if n == 1:
        return [ranked[len(ranked) // 2]]
    step = (len(ranked) - 1) / (n - 1)
    return [ranked[round(i * step)] for i in range(n)] if n else []
