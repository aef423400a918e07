"""What the LLM is tuned on after every cycle, and the tuning."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deltanas.config.choices import Corpus, Curation, Objective
from deltanas.config.schema import Config
from deltanas.records import Attempt, CycleSummary, Slot, derive_seed
from deltanas.search.guarding import Watch
from deltanas.search.outcomes import own_outcome, own_pair
from deltanas.search.strength import NOISE
from deltanas.tune.curation import Pair, curate, draw, split
from deltanas.tune.rewards import Outcome, Repeats, rewards_of
from deltanas.tune.siblings import lessons_of
from deltanas.tune.tuner import Lesson, Tuner, TuneResult

HELD_OUT_SHARE = 0.2  # of the baselines of the curated pairs, to watch the LoRA loss


@dataclass(kw_only=True, slots=True)
class Lessons:
    """What a search can teach so far, and the adapter that is tuned on it."""

    config: Config
    directory: Path  # of the run
    tuner: Tuner | None  # None: the LLM stays frozen, or there is none
    pairs: list[Pair] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)  # where the objective compares answers
    watch: Watch | None = None  # None: nothing but the loss is watched
    fresh: Repeats = field(default_factory=dict)  # what the memory knows of fresh seeds

    def recall(self, summary: CycleSummary) -> None:
        """Put the adapter back that a finished cycle left."""
        if self.tuner and summary.adapter_kept is not None:
            self.tuner.load(self._adapter(summary.cycle))

    def collect(self, slots: Sequence[Slot], attempts: Sequence[Attempt]) -> None:
        """Add a cycle's candidates to what the LLM may be tuned on."""
        if self.tuner is None or self.config.lora.corpus is Corpus.static:
            return
        for slot, row in zip(slots, attempts, strict=True):
            pair = own_pair(self.config, slot, row)
            if pair is not None and self.tuner.fits(pair.lesson()):
                self.pairs.append(pair)
            outcome = own_outcome(self.config, slot, row) if self._compares() else None
            if outcome is not None and self.tuner.fits(outcome.lesson()):
                self.outcomes.append(outcome)

    def tune(self, cycle: int) -> TuneResult | None:
        """Tune the LLM on what is known so far; None where there is too little."""
        if self.tuner is None:
            return None
        # the same draws every cycle, so that a baseline that was held out stays held out
        rng = random.Random(derive_seed(self.config.seed, "pairs"))
        train, held_out = split(self._chosen(rng), share=HELD_OUT_SHARE, rng=rng)
        if not train or not held_out:
            return None
        kept_out = {pair.baseline_id for pair in held_out}
        lessons = [pair.lesson() for pair in train]
        if self._compares():
            lessons = self._compared(cycle, kept_out)
        lessons += self._real(sum(len(one.answers) for one in lessons), kept_out, rng)
        if not lessons:
            return None
        return self.tuner.learn(
            lessons,
            [pair.lesson() for pair in held_out],
            seed=derive_seed(self.config.seed, cycle, "lora"),
            directory=self._adapter(cycle),
            guard=self.watch.over(cycle, kept_out) if self.watch else None,
        )

    def _chosen(self, rng: random.Random) -> list[Pair]:
        """Return the pairs that may be imitated: all kinds, or the run's own for a fixed share."""
        lora, share = self.config.lora, self.config.tune.real_share
        pairs, limit = self.pairs, lora.pairs
        if share:
            pairs, limit = [one for one in pairs if not one.real], self._own_limit()
        if lora.curation is Curation.random:
            return draw(pairs, limit=limit, rng=rng)
        return curate(
            pairs,
            limit=limit,
            minimum_gain=lora.minimum_gain,
            per_baseline=lora.per_baseline,
            rng=rng,
        )

    def _own_limit(self) -> int:
        return max(1, round(self.config.lora.pairs * (1 - self.config.tune.real_share)))

    def _compared(self, cycle: int, kept_out: Collection[str]) -> list[Lesson]:
        """Return prompts with answers of all kinds, but for baselines that are held out."""
        tune, lora = self.config.tune, self.config.lora
        rewards = rewards_of(self.outcomes, self.fresh, NOISE)
        alone = tune.objective is Objective.kto
        group = tune.objective is Objective.grpo  # drawn from one state of the LLM
        return lessons_of(
            [
                one
                for one in self.outcomes
                if one.baseline_id not in kept_out
                and (not group or (one.cycle == cycle and one.sampled))
            ],
            rewards,
            limit=self._own_limit(),
            per_lesson=max(2 * lora.per_baseline, tune.siblings),
            spread=0.0 if alone else tune.margin,
            rng=random.Random(derive_seed(self.config.seed, cycle, "lessons")),
        )

    def _real(self, own: int, kept_out: Collection[str], rng: random.Random) -> list[Lesson]:
        """Return real pairs in a fixed share of a mix with so many answers of the run's own."""
        share = self.config.tune.real_share
        if not share:
            return []
        real = [p for p in self.pairs if p.real and p.baseline_id not in kept_out]
        return [p.lesson() for p in draw(real, limit=round(own * share / (1 - share)), rng=rng)]

    def _compares(self) -> bool:
        return self.config.tune.objective is not Objective.sft

    def _adapter(self, cycle: int) -> Path:
        return self.directory / "adapters" / f"cycle_{cycle:02d}"
