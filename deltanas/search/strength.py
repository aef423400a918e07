"""How good a network is known to be, when one seed is noise: lower bounds of means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

NOISE = 0.015  # deviation of a network's accuracy over seeds that is assumed at first
WEIGHT = 3.0  # of what is assumed, in measurements


def lower_bound(values: Sequence[float], noise: float = NOISE) -> float:
    """Return the mean of some measurements less one standard error, in their unit.

    The deviation is estimated from the values, few as they are, and from `noise` as if that had
    been seen in `WEIGHT` more (a scaled inverse chi-square prior of the variance; Gelman et al.,
    Bayesian Data Analysis, 3rd ed., section 2.6). Raises ValueError without a value.
    """
    if not values:
        raise ValueError("a lower bound needs one value or more, found none")
    n, mean = len(values), fmean(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    variance = (WEIGHT * noise**2 + squares) / (WEIGHT + n - 1)
    return mean - math.sqrt(variance / n)
