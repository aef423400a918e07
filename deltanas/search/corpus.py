"""The static corpus: pairs of LEMUR networks, as the LLM would be asked and should answer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from deltanas.archive.base import ArchiveError
from deltanas.archive.lemur import LemurArchive
from deltanas.archive.pairs import ArchivePair, improving_pairs
from deltanas.config.choices import Generation
from deltanas.config.schema import Config
from deltanas.propose.prompt import render_answer, render_prompt
from deltanas.records import Baseline, Stage, derive_seed
from deltanas.report.console import CycleProgress
from deltanas.tune.curation import Pair
from deltanas.tune.tuner import Tuner


def static_corpus(
    config: Config,
    archive: LemurArchive,
    pools: Mapping[str, Sequence[Baseline]],
    tuner: Tuner,
    progress: CycleProgress,
) -> list[Pair]:
    """Return `lora.pairs` pairs of the archive that fit the LLM, equally many on every dataset.

    The prompt shows the baseline's accuracy as LEMUR recorded it. Raises ArchiveError where a
    dataset has none.
    """
    found: list[Pair] = []
    share = -(-config.lora.pairs // len(pools))
    progress.begin(Stage.start, "static corpus", config.lora.pairs)
    for dataset, pool in pools.items():
        rng = random.Random(derive_seed(config.seed, "corpus", dataset))
        pairs: dict[str, Pair] = {}

        def fits(pair: ArchivePair, pairs: dict[str, Pair] = pairs) -> bool:
            rendered = _rendered(config, pair)
            if rendered is None or not tuner.fits(rendered.lesson()):
                return False
            pairs[rendered.pair_id] = rendered
            return True

        for _ in improving_pairs(archive, pool, dataset, share, rng, fits):
            progress.advance()
        if not pairs:
            raise ArchiveError(f"LEMUR holds no improving pair on {dataset} that fits the LLM")
        found += pairs.values()
    return found[: config.lora.pairs]


def _rendered(config: Config, pair: ArchivePair) -> Pair | None:
    """Return the pair as prompt and answer; None where the prompt does not show what changes."""
    baseline = replace(pair.baseline, proxy_accuracy=pair.accuracy)
    template, whole = config.template(), config.generation is Generation.full
    answer = render_answer(template, baseline, pair.code, whole=whole)
    if not answer:
        return None
    return Pair(
        pair_id=f"{pair.dataset}/{baseline.baseline_id}/{pair.better_id}",
        baseline_id=baseline.baseline_id,
        family=baseline.family,
        dataset=pair.dataset,
        prompt=render_prompt(template, baseline, pair.dataset),
        answer=answer,
        gain=pair.gain,
        real=True,
    )
