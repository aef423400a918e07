"""Does one epoch preserve the ranking? Spearman's rho with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanas.records import Finalist

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST_STUDY = 4  # fewer pairs carry no rank correlation worth a number
RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """A rank correlation with its 95 % bootstrap interval."""

    rho: float | None  # in [-1, 1]; None for fewer than 4 pairs or constant values
    low: float | None
    high: float | None
    n: int  # pairs that could be ranked


def proxy_fidelity(finalists: Sequence[Finalist], seed: int) -> Correlation:
    """Return the rank correlation of proxy and final accuracy, ranked within each dataset.

    Finalists without a final accuracy are left out.
    """
    pairs = [
        (finalist.proxy_accuracy, finalist.final_accuracy, finalist.dataset)
        for finalist in finalists
        if finalist.final_accuracy is not None
    ]
    proxy, final, datasets = zip(*pairs, strict=True) if pairs else ((), (), ())
    return spearman(proxy, final, groups=datasets, seed=seed)


def spearman(
    x: Sequence[float],
    y: Sequence[float],
    *,
    seed: int,
    groups: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
) -> Correlation:
    """Return Spearman's rho of two equally long sequences with a percentile bootstrap interval.

    With groups, values are ranked within their group and the ranks, scaled by the group's size,
    are pooled: differences between groups (say, datasets) cannot pass for a correlation. Pairs
    are resampled within their group; resamples with constant values are left out. A group of one
    cannot be ranked and does not count. Raises ValueError when the lengths differ.
    """
    import numpy as np

    labels = [None] * len(x) if groups is None else list(groups)
    if not len(x) == len(y) == len(labels):
        raise ValueError(f"x, y and groups must match, found {len(x)}, {len(y)}, {len(labels)}")
    members: dict[Hashable, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    ranked = [np.array(indices) for indices in members.values() if len(indices) > 1]
    n = sum(map(len, ranked))
    nothing = Correlation(rho=None, low=None, high=None, n=n)
    if n < SMALLEST_STUDY:
        return nothing
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)  # (pairs,)
    rho = _pooled_rho(xs, ys, [indices[None] for indices in ranked])[0]
    if np.isnan(rho):
        return nothing
    rng = np.random.default_rng(seed)
    draws = [rng.choice(indices, size=(resamples, len(indices))) for indices in ranked]
    rhos = _pooled_rho(xs, ys, draws)
    low, high = np.quantile(rhos[~np.isnan(rhos)], (0.025, 0.975))
    return Correlation(rho=float(rho), low=float(low), high=float(high), n=n)


def _pooled_rho(
    x: NDArray[np.float64], y: NDArray[np.float64], draws: Sequence[NDArray[np.intp]]
) -> NDArray[np.float64]:
    """Return one rho per row of the draws, (resamples, group size) each; NaN where constant."""
    import numpy as np
    from scipy.stats import rankdata

    def scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
        ranks = [
            (rankdata(values[rows], axis=1) - (rows.shape[1] + 1) / 2) / rows.shape[1]
            for rows in draws
        ]
        return np.concatenate(ranks, axis=1)  # (resamples, pairs), every group's mean is 0

    a, b = scaled(x), scaled(y)
    spread = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    together = (a * b).sum(axis=1)
    rho: NDArray[np.float64] = np.full(len(spread), np.nan)
    np.divide(together, spread, out=rho, where=spread > 0)
    return np.clip(rho, -1.0, 1.0)
