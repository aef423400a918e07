"""Whether a tuned LLM still writes as many distinct networks, asked on baselines held out."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from dataclasses import dataclass, replace

from deltanas.config.choices import Generation
from deltanas.config.schema import Config
from deltanas.propose.proposer import Proposer
from deltanas.records import Baseline, Candidate, Request, Slot, derive_seed
from deltanas.screen.gates import screen_proposal
from deltanas.search.memory import Memory
from deltanas.source import fingerprint

REPLIES = 16  # drawn from the LLM before a tuning, and as many after it
PROMPTS = 4  # at most, that share them


@dataclass(kw_only=True, slots=True)
class Watch:
    """Knows who writes deltas, and the baselines of the run."""

    config: Config
    proposer: Proposer
    memory: Memory

    def over(self, cycle: int, held_out: Collection[str]) -> DistinctGuard:
        """Return the guard of a cycle's tuning; `held_out` names baselines."""
        known = [
            (dataset, replace(one, proxy_accuracy=self._proxy(dataset, one.baseline_id)))
            for dataset, pool in self.memory.pools.items()
            for one in sorted(pool, key=lambda one: one.baseline_id)
            if one.baseline_id in held_out
        ]
        rng = random.Random(derive_seed(self.config.seed, cycle, "guard"))
        drawn = rng.sample(known, min(PROMPTS, len(known)))
        return DistinctGuard(self.config, self.proposer, cycle, drawn)

    def _proxy(self, dataset: str, name: str) -> float | None:
        found = self.memory.scores.get((dataset, name))
        return found.proxy_accuracy if found else None


@dataclass(frozen=True, slots=True)
class DistinctGuard:
    """Counts the distinct networks, past the gates that execute nothing, in seeded replies.

    The same seeds before and after a tuning: what differs is the adapter.
    """

    config: Config
    proposer: Proposer
    cycle: int
    baselines: list[tuple[str, Baseline]]  # with their data sets; none: there is nothing to count

    def count(self) -> int:
        """Return how many of `REPLIES` replies give networks that no other of them gives."""
        requests = [
            Request(
                slot=Slot(cycle=self.cycle, number=number, dataset=dataset, baseline=baseline),
                seed=derive_seed(self.config.seed, self.cycle, "guard", number),
            )
            for number in range(REPLIES if self.baselines else 0)
            for dataset, baseline in [self.baselines[number % len(self.baselines)]]
        ]
        whole = self.config.generation is Generation.full
        outcomes = [
            screen_proposal(r.slot.name, proposal, r.slot.baseline, whole_network=whole)
            for r, proposal in zip(requests, self.proposer.propose(requests), strict=True)
        ]
        return len({fingerprint(one.code) for one in outcomes if isinstance(one, Candidate)})

    def worse(self, before: int, after: int) -> bool:
        """Return whether a count fell by more than its standard error."""
        return fell(before, after, REPLIES)


def fell(before: int, after: int, number: int) -> bool:
    """Return whether a count out of `number` fell by more than one standard error.

    That of the difference of two proportions, each with a success and a failure added (Agresti
    and Caffo, The American Statistician 54, 2000): a count of all or none has one too.
    """
    rates = [(count + 1) / (number + 2) for count in (before, after)]
    error = math.sqrt(sum(rate * (1 - rate) for rate in rates) / (number + 2))
    return rates[0] - rates[1] > error
