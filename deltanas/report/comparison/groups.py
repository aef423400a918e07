"""Several runs side by side: what is compared, and the figures of runs that differ in their seeds.

Attempts are pooled over seeds for rates. Other figures are means over seeds, so that a seed with
more valid candidates does not weigh more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from deltanas.records import FinishedRun
from deltanas.report.metrics import mean, ratio, wilson_interval
from deltanas.report.spreads import Spread, spread


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKey:
    """What the runs of a group have in common."""

    llm: str
    dataset: str
    archive: str
    protocol: str
    ablation: str
    variant: str = ""  # other settings in which it differs from groups of the same names


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs that differ in their seeds only."""

    key: GroupKey
    runs: tuple[FinishedRun, ...]  # one a seed, in the order of their seeds; at least one
    repeats: tuple[FinishedRun, ...] = ()  # further runs of these seeds; they count nowhere

    def total(self, figure: str) -> float | None:
        """Return the sum of a figure over the runs, or None where one of them lacks it."""
        values = [run.summary.flat()[figure] for run in self.runs]
        return None if None in values else math.fsum(values)

    def spread(self, figure: str) -> Spread | None:
        """Return the mean of a figure over the seeds that measured it, and how it varies."""
        return spread(run.summary.flat()[figure] for run in self.runs)

    def mean(self, figure: str) -> float | None:
        """Return the mean of a figure over the seeds that measured it."""
        return mean(run.summary.flat()[figure] for run in self.runs)

    @property
    def attempted(self) -> int:
        """Attempts of all seeds."""
        return sum(run.summary.attempted for run in self.runs)

    @property
    def first_attempts(self) -> int:
        """Attempts of all seeds that mend no other one."""
        return sum(run.summary.first_attempts for run in self.runs)

    @property
    def valid(self) -> int:
        """Valid first attempts of all seeds."""
        return sum(run.summary.valid for run in self.runs)

    @property
    def valid_rate(self) -> float | None:
        """Share of valid ones among the first attempts of all seeds."""
        return ratio(self.valid, self.first_attempts)

    @property
    def valid_interval(self) -> tuple[float | None, float | None]:
        """Wilson's 95 % interval of the pooled rate: attempts count as independent."""
        asked = self.first_attempts
        return wilson_interval(self.valid, asked) if asked else (None, None)

    @property
    def valid_rate_excl_infra(self) -> float | None:
        """The pooled rate without infrastructure failures in its denominator."""
        failures = self.total("infrastructure_failures")
        return None if failures is None else ratio(self.valid, self.first_attempts - int(failures))

    @property
    def useful_rate(self) -> float | None:
        """Share of useful ones among the first attempts of all seeds."""
        counted = [run.summary for run in self.runs if run.summary.attempted]
        useful = [s.useful_rate * s.first_attempts for s in counted if s.useful_rate is not None]
        if len(useful) < len(counted):
            return None
        return ratio(round(math.fsum(useful)), self.first_attempts)

    @property
    def best_accuracy(self) -> float | None:
        """Best first-epoch accuracy of any seed, on the test split."""
        values = (run.summary.best_first_epoch_accuracy for run in self.runs)
        return max((value for value in values if value is not None), default=None)

    @property
    def seconds_per_valid(self) -> float | None:
        """Wall seconds of all runs for each of their valid attempts."""
        seconds = self.total("wall_seconds")
        return seconds / self.valid if seconds is not None and self.valid else None

    @property
    def written_per_attempt(self) -> float | None:
        """Tokens that the LLM wrote for each attempt; None where it wrote none."""
        tokens = self.total("output_tokens")
        return tokens / self.attempted if tokens and self.attempted else None
