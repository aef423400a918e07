"""Mean, range and Student's interval of one figure over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One figure over seeds."""

    mean: float
    smallest: float
    largest: float
    n: int  # seeds that measured it
    low: float | None  # Student's 95 % interval of the mean; None where seeds do not differ
    high: float | None


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return mean, range and Student's 95 % interval of the measured values; None without any."""
    measured = [value for value in values if value is not None]
    if not measured:
        return None
    n, centre = len(measured), fmean(measured)
    low = high = None
    if len(set(measured)) > 1:  # equal seeds would claim an interval of no width
        from scipy.special import stdtrit

        margin = float(stdtrit(n - 1, 0.975)) * stdev(measured) / math.sqrt(n)
        low, high = centre - margin, centre + margin
    return Spread(
        mean=centre, smallest=min(measured), largest=max(measured), n=n, low=low, high=high
    )
