"""After the search a sample of what it found, and the best, train under fresh seeds.

What one seed says is noise for a good part, and the best of many such measurements more so. The
figures of `summary.json` that claim a gain rest on these epochs alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deltanas.config.schema import Config
from deltanas.record.store import RunStore
from deltanas.records import Baseline, Purpose, Run, derive_seed
from deltanas.search.fresh_seeds import FreshSeeds
from deltanas.search.judging import as_baseline
from deltanas.search.memory import Key, Memory


@dataclass(kw_only=True, slots=True)
class Confirm:
    """Trains a seeded sample of the new networks, and the best, with their parents, again."""

    config: Config
    store: RunStore
    fresh: FreshSeeds
    memory: Memory

    def run(self) -> None:
        """Choose, store what was chosen, and train each under every fresh seed."""
        confirm = self.config.confirm
        if not confirm.sample and not confirm.best:
            return
        held = self.store.read()
        rows = {row.attempt_id: row for row in held.attempts if row.distinct}
        rng = random.Random(derive_seed(self.config.seed, "confirm"))
        sample = rng.sample(sorted(rows), min(confirm.sample, len(rows)))
        sound = [(row.dataset, name) for name, row in rows.items() if not row.degenerate]
        best = self.best_of(sound, raced_first=True)
        baselines = self.best_of(self.memory.archived, raced_first=False)
        self.store.set_meta(
            "confirm",
            {
                "sample": sample,
                "best": [name for _, name in best],
                "baselines": baselines,
                "seeds": confirm.seeds,
            },
        )
        chosen = [rows[name] for name in (*sample, *(name for _, name in best))]
        pairs = [(row.dataset, name) for row in chosen for name in (row.attempt_id, row.parent_id)]
        networks = _networks(held)
        wanted = dict.fromkeys([*pairs, *baselines])
        self.fresh.train(
            "confirm",
            Purpose.CONFIRM,
            [(dataset, networks[dataset, name]) for dataset, name in wanted],
            range(confirm.seeds),
        )

    def best_of(self, networks: Iterable[Key], *, raced_first: bool) -> list[Key]:
        """Return the best `confirm.best` networks of every data set, best first.

        Where children are raced none leads on one seed alone, so that those without a race come
        last. Ties are broken by name.
        """
        strengths = {key: self.memory.strength(*key) for key in networks}
        ranked = sorted(
            (raced_first and not self.memory.fresh.get(key), -strength, key)
            for key, strength in strengths.items()
            if strength is not None
        )
        return [
            key
            for dataset in self.memory.pools
            for key in [key for _, _, key in ranked if key[0] == dataset][
                : self.config.confirm.best
            ]
        ]


def _networks(held: Run) -> Mapping[Key, Baseline]:
    """Return every network of a run that trained."""
    found = {(used.dataset, used.baseline.baseline_id): used.baseline for used in held.baselines}
    for row in held.attempts:
        if row.distinct:
            found.setdefault(
                (row.dataset, row.attempt_id), as_baseline(row, found[row.dataset, row.parent_id])
            )
    return found
