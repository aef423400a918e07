"""Does one epoch preserve the ranking? Spearman's rho, its interval, and how high it could be."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanas.records import Finalist

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST_STUDY = 4  # fewer pairs carry no rank correlation worth a number
RESAMPLES = 2000
_CHUNK = 2**20  # values that are resampled at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """A rank correlation with its 95 % bootstrap interval."""

    rho: float | None  # in [-1, 1]; None for fewer than 4 pairs or constant values
    low: float | None
    high: float | None
    n: int  # pairs that could be ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseCeiling:
    """How high rho could be at best, given how far two trainings of one network differ."""

    agreement: Correlation  # of the final accuracies under one seed and under another
    rho: float | None  # in [0, 1]: what a proxy without noise would show; None: not measured
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """What the finalists say about the proxy."""

    pooled: Correlation  # of all finalists, ranked within their dataset
    by_dataset: Mapping[str, Correlation]
    ceiling: NoiseCeiling


def fidelity(finalists: Sequence[Finalist], repeats: Sequence[Finalist], seed: int) -> Fidelity:
    """Return all figures of a study; `repeats` are finalists trained again with another seed."""
    names = sorted({finalist.dataset for finalist in finalists})
    return Fidelity(
        pooled=proxy_fidelity(finalists, seed),
        by_dataset={
            name: proxy_fidelity([f for f in finalists if f.dataset == name], seed)
            for name in names
        },
        ceiling=noise_ceiling(finalists, repeats, seed),
    )


def proxy_fidelity(finalists: Sequence[Finalist], seed: int) -> Correlation:
    """Return the rank correlation of proxy and final accuracy, ranked within each dataset.

    Finalists without a final accuracy are left out.
    """
    return _correlation(
        [
            (finalist.proxy_accuracy, finalist.final_accuracy, finalist.dataset)
            for finalist in finalists
            if finalist.final_accuracy is not None
        ],
        seed,
    )


def noise_ceiling(
    finalists: Sequence[Finalist], repeats: Sequence[Finalist], seed: int
) -> NoiseCeiling:
    """Return the highest rho that a proxy without noise could show, from repeated trainings.

    With r the correlation of final accuracies under two seeds, no variable correlates higher than
    sqrt(r) with those under one seed (the correction for attenuation: Spearman 1904,
    doi:10.2307/1412159). It is exact for linear correlations and close for ranks; below zero, r
    counts as 0. The bound holds for noise that is independent of the proxy's: a proxy epoch that
    shares its seed with the final training can come out above it. A repeat goes with the finalist
    of its id; pairs without both accuracies are left out.
    """
    first = {finalist.attempt_id: finalist.final_accuracy for finalist in finalists}
    pairs = [
        (accuracy, repeat.final_accuracy, repeat.dataset)
        for repeat in repeats
        if (accuracy := first.get(repeat.attempt_id)) is not None
        and repeat.final_accuracy is not None
    ]
    agreement = _correlation(pairs, seed)
    rho, low, high = (
        None if value is None else math.sqrt(max(0.0, value))
        for value in (agreement.rho, agreement.low, agreement.high)
    )
    return NoiseCeiling(agreement=agreement, rho=rho, low=low, high=high)


def _correlation(pairs: Sequence[tuple[float, float, str]], seed: int) -> Correlation:
    """Return the correlation of (x, y, dataset), ranked within each dataset.

    It does not depend on the order of the pairs, in which they happened to end.
    """
    x, y, datasets = zip(*sorted(pairs), strict=True) if pairs else ((), (), ())
    return spearman(x, y, groups=datasets, seed=seed)


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
    are resampled within their group (scipy.stats.bootstrap); resamples with constant values are
    left out. A group of one cannot be ranked and does not count. Raises ValueError when the
    lengths differ.
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
    rhos = _resampled_rhos(xs, ys, ranked, resamples, seed)
    low, high = np.quantile(rhos[~np.isnan(rhos)], (0.025, 0.975))
    return Correlation(rho=float(rho), low=float(low), high=float(high), n=n)


def _resampled_rhos(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    groups: Sequence[NDArray[np.intp]],
    resamples: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return the rho of every resample, (resamples,); NaN where its values are constant."""
    import numpy as np
    from scipy.stats import DegenerateDataWarning, bootstrap

    def statistic(*draws: NDArray[Any], axis: int) -> NDArray[np.float64]:
        return _pooled_rho(x, y, [rows.astype(np.intp) for rows in draws])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # of constant resamples
        result = bootstrap(
            groups,
            statistic,
            n_resamples=resamples,
            batch=max(1, _CHUNK // sum(map(len, groups))),
            vectorized=True,
            method="percentile",
            rng=seed,
        )
    rhos: NDArray[np.float64] = result.bootstrap_distribution
    return rhos


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
