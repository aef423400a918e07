"""What the LLM is tuned on after every cycle, and the tuning."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deltanas.config.choices import Corpus, Curation, Generation
from deltanas.config.schema import Config
from deltanas.propose.prompt import render_answer, render_prompt
from deltanas.records import Attempt, CycleSummary, Slot, derive_seed
from deltanas.tune.curation import Pair, curate, draw, split
from deltanas.tune.tuner import Tuner, TuneResult

HELD_OUT_SHARE = 0.2  # of the baselines of the curated pairs, to watch the LoRA loss


@dataclass(kw_only=True, slots=True)
class Lessons:
    """The pairs of a search so far, and the adapter that is tuned on them."""

    config: Config
    directory: Path  # of the run
    tuner: Tuner | None  # None: the LLM stays frozen, or there is none
    pairs: list[Pair] = field(default_factory=list)

    def recall(self, summary: CycleSummary) -> None:
        """Put the adapter back that a finished cycle left."""
        if self.tuner and summary.adapter_kept is not None:
            self.tuner.load(self._adapter(summary.cycle))

    def collect(self, slots: Sequence[Slot], attempts: Sequence[Attempt]) -> None:
        """Add a cycle's trained candidates to what the LLM may be tuned on."""
        if self.tuner is None or self.config.lora.corpus is Corpus.static:
            return
        for slot, row in zip(slots, attempts, strict=True):
            if row.gain is None or row.degenerate:
                continue
            whole = self.config.generation is Generation.full
            answer = render_answer(self.config.template(), slot.baseline, row.code, whole=whole)
            if not answer:
                continue
            asked = row.prompt  # operators were asked nothing, and repairs about a failure
            if row.repairs or not asked:
                asked = render_prompt(self.config.template(), slot.baseline, row.dataset)
            pair = Pair(
                pair_id=row.attempt_id,
                baseline_id=row.parent_id,
                family=row.family,
                dataset=row.dataset,
                prompt=asked,
                answer=answer,
                gain=row.gain,
            )
            if self.tuner.fits(pair.lesson()):
                self.pairs.append(pair)

    def tune(self, cycle: int) -> TuneResult | None:
        """Tune the LLM on pairs of all cycles so far; None where there is too little."""
        if self.tuner is None:
            return None
        lora = self.config.lora
        # the same draws every cycle, so that a baseline that was held out stays held out
        rng = random.Random(derive_seed(self.config.seed, "pairs"))
        if lora.curation is Curation.random:
            chosen = draw(self.pairs, limit=lora.pairs, rng=rng)
        else:
            chosen = curate(
                self.pairs,
                limit=lora.pairs,
                minimum_gain=lora.minimum_gain,
                per_baseline=lora.per_baseline,
                rng=rng,
            )
        train, held_out = split(chosen, share=HELD_OUT_SHARE, rng=rng)
        if not train or not held_out:
            return None
        return self.tuner.learn(
            [pair.lesson() for pair in train],
            [pair.lesson() for pair in held_out],
            seed=derive_seed(self.config.seed, cycle, "lora"),
            directory=self._adapter(cycle),
        )

    def _adapter(self, cycle: int) -> Path:
        return self.directory / "adapters" / f"cycle_{cycle:02d}"
