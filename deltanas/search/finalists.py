"""Which candidates are trained for longer, to ask whether one epoch preserves the ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Scored(NamedTuple):
    """A trained candidate, as far as the choice of finalists looks at it."""

    attempt_id: str
    dataset: str
    proxy_accuracy: float  # validation split after one epoch


def stratify(scored: Sequence[Scored], n: int) -> list[str]:
    """Return the ids of `n` candidates spread over the proxy ranking of each dataset.

    Datasets share `n` as evenly as their candidates allow. Within one, ranks are evenly spaced
    and both ends included, so that the finalists' accuracies are distributed as the candidates'.
    All where there are fewer. By dataset, then by rising proxy accuracy; ties by id.
    """
    rankings: dict[str, list[str]] = {}
    for one in sorted(scored, key=lambda one: (one.dataset, one.proxy_accuracy, one.attempt_id)):
        rankings.setdefault(one.dataset, []).append(one.attempt_id)
    shares = _shares([len(ranking) for ranking in rankings.values()], n)
    return [
        name
        for ranking, share in zip(rankings.values(), shares, strict=True)
        for name in _spread(ranking, share)
    ]


def top(scored: Sequence[Scored], n: int) -> list[str]:
    """Return the ids of the `n` best by proxy accuracy over all datasets, best first; ties by id.

    The paper's choice (arXiv 2605.04903: the 20 best of each LLM). It restricts the range, which
    weakens a rank correlation whatever the truth.
    """
    best = sorted(scored, key=lambda one: (-one.proxy_accuracy, one.attempt_id))
    return [one.attempt_id for one in best[:n]]


def _shares(sizes: Sequence[int], n: int) -> list[int]:
    """Return how many of `n` each of several groups gives: equally many, or all that it has."""
    shares = [0] * len(sizes)
    for _ in range(min(n, sum(sizes))):
        open_groups = [i for i, size in enumerate(sizes) if shares[i] < size]
        shares[min(open_groups, key=lambda i: shares[i])] += 1
    return shares


def _spread(ranking: Sequence[str], n: int) -> list[str]:
    """Return `n` of a ranking at even distances; the middle one where only one is wanted."""
    if n == 1:
        return [ranking[len(ranking) // 2]]
    step = (len(ranking) - 1) / (n - 1) if n else 0.0
    return [ranking[round(i * step)] for i in range(n)]
