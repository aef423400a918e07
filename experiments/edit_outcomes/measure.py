"""Measure who writes better edits: one delta a baseline, on baselines of kept-out families.

    python measure.py scores.sqlite measured.json --llm embedded --llm out/llm:gain

Arms are random edits and any LLM, given as FOLDER or FOLDER:TASK (the word of the prompt). Each
child and its parent train on digits under three fresh seeds; an edit is improved where it is above
its parent under all three. Scores are kept, so that arms may be added later.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from statistics import fmean

from hydra import compose, initialize_config_dir
from rich.progress import track

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.archive.lemur import LemurArchive
from deltanas.archive.sampling import sample_baselines
from deltanas.cli.environment import ensure
from deltanas.config.compose import from_hydra, register
from deltanas.config.schema import Config
from deltanas.evaluate.executor import LocalExecutor
from deltanas.evaluate.images.image_data import ImageSet
from deltanas.propose.proposer import LLMProposer, Proposer, RandomEditProposer
from deltanas.propose.random_edit import random_edit
from deltanas.records import Baseline, Job, Refused, Request, Slot, derive_seed
from deltanas.report.metrics import wilson_interval
from deltanas.screen.gates import screen_proposal
from deltanas.search.parts import open_llm
from deltanas.source import fingerprint

sys.path.insert(0, str(Path(__file__).parents[1] / "embedded_llm"))
from corpus import HELD_OUT_FAMILIES, MAX_LINES, is_held_out, shown

CONF = Path(__file__).parents[2] / "conf"
DATASET = "digits"
SEEDS = (901, 902, 903)
TABLE = """
CREATE TABLE IF NOT EXISTS scores (
  tree TEXT NOT NULL, recipe TEXT NOT NULL, seed INTEGER NOT NULL, validation REAL, test REAL,
  PRIMARY KEY (tree, recipe, seed)) STRICT"""


class Scores:
    """Validation accuracies of networks under the fresh seeds; a tree is trained once."""

    def __init__(self, connection: sqlite3.Connection, executor: LocalExecutor) -> None:
        self.held, self.executor = connection, executor
        self.held.execute(TABLE)

    def of(self, networks: Mapping[str, Baseline]) -> dict[str, list[float] | None]:
        """Return three accuracies by name; None where a network did not train under a seed."""
        keys = {n: (fingerprint(b.code), repr(b.recipe)) for n, b in networks.items()}
        held = {
            (tree, recipe, seed)
            for tree, recipe, seed in self.held.execute("SELECT tree, recipe, seed FROM scores")
        }
        wanted = {(*keys[n], seed): b for n, b in networks.items() for seed in SEEDS}
        left = [key for key in wanted if key not in held]
        jobs = [
            Job(
                job_id=str(number),
                code=wanted[key].code,
                recipe=wanted[key].recipe,
                dataset=DATASET,
                seed=key[2],
            )
            for number, key in enumerate(left)
        ]
        for found in track(self.executor.map(jobs), "train", len(jobs)):
            self.held.execute(
                "INSERT INTO scores VALUES (?, ?, ?, ?, ?)",
                (*left[int(found.job_id)], found.proxy_accuracy, found.first_epoch_accuracy),
            )
        return {name: self._of(key) for name, key in keys.items()}

    def _of(self, key: tuple[str, str]) -> list[float] | None:
        query = "SELECT validation FROM scores WHERE tree = ? AND recipe = ? ORDER BY seed"
        found = [value for (value,) in self.held.execute(query, key)]
        return None if None in found or not found else found


def baselines(count: int, proposer: Proposer) -> list[Baseline]:
    """Return `count` baselines that fit: LEMUR networks and descendants of built-in families."""
    rng = random.Random("held-out/outcomes")
    pool = [
        one
        for one in LemurArchive().baselines(dataset=DATASET, max_image_size=32, max_lines=110)
        if is_held_out(one.baseline_id) and proposer.fits(one, DATASET)
    ]
    lemur = sample_baselines(pool, min(len(pool), count // 4), rng)
    families = [
        one
        for one in BuiltinArchive().baselines(dataset=DATASET)
        if one.family in HELD_OUT_FAMILIES
    ]
    found = list(families)
    while len(found) < count - len(lemur):
        parent = rng.choice(families)
        code = parent.code
        for _ in range(rng.randint(1, 3)):
            code = random_edit(code, rng, operators=1)
        child = Baseline(
            baseline_id=f"{parent.baseline_id}-{len(found)}",
            family=parent.family,
            code=code,
            recipe=parent.recipe,
        )
        if len(shown(code).shown) <= MAX_LINES and proposer.fits(child, DATASET):
            found.append(child)
    return [*found, *lemur]


def llm_proposer(config: Config, word: str) -> LLMProposer:
    """Return the proposer of FOLDER or FOLDER:TASK."""
    folder, _, task = word.partition(":")
    config.llm.model = folder
    template = config.llm.prompt.replace("delta\n", f"{task}\n", 1) if task else config.llm.prompt
    return LLMProposer(
        open_llm(config), template=template, locked=True, lock_names=config.llm.lock_names
    )


def measure(proposer: Proposer, parents: Sequence[Baseline], scores: Scores) -> dict[str, object]:
    """Return the figures of one arm."""
    old = scores.of({one.baseline_id: one for one in parents})
    trained = [one for one in parents if old[one.baseline_id]]
    requests = [
        Request(
            slot=Slot(cycle=0, number=number, dataset=DATASET, baseline=one),
            seed=derive_seed(7, one.baseline_id),
        )
        for number, one in enumerate(trained)
    ]
    children: dict[str, Baseline] = {}
    for request, reply in zip(requests, proposer.propose(requests), strict=True):
        parent = request.slot.baseline
        outcome = screen_proposal(parent.baseline_id, reply, parent, whole_network=False)
        if not isinstance(outcome, Refused):
            children[parent.baseline_id] = Baseline(
                baseline_id=parent.baseline_id,
                family=parent.family,
                code=outcome.code,
                recipe=parent.recipe,
            )
    found = scores.of(children)
    pairs = {
        name: [one - other for one, other in zip(new, old[name] or [], strict=True)]
        for name, new in found.items()
        if new
    }
    improved = sum(min(gains) > 0 for gains in pairs.values())
    gains = [fmean(each) for each in pairs.values()]
    low, high = wilson_interval(improved, len(pairs))
    return {
        "baselines": len(trained),
        "valid": len(pairs),
        "improved": improved,
        "improved_rate": improved / len(pairs),
        "improved_low": low,
        "improved_high": high,
        "gained_on_one_seed": fmean(each[0] > 0 for each in pairs.values()),
        "mean_gain": fmean(gains),
        "median_gain": sorted(gains)[len(gains) // 2],
        "harmless": fmean(gain >= -0.01 for gain in gains),
    }


def main() -> None:
    """Measure every arm and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--llm", action="append", default=[])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    ensure()
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = from_hydra(compose("config"))
    data = ImageSet(name=DATASET, seed=42, image_size=config.dataset.image_size, root=None).load()
    figures = {}
    with (
        closing(sqlite3.connect(options.scores, isolation_level=None)) as connection,
        LocalExecutor(
            data,
            workers=options.workers,
            timeout_s=60.0,
            max_parameters=5_000_000,
            max_macs=500_000_000,
        ) as executor,
    ):
        parents = baselines(options.count, llm_proposer(config, "embedded"))
        arms: dict[str, Proposer] = {"random_edit": RandomEditProposer()}
        arms |= {word: llm_proposer(config, word) for word in options.llm}
        for name, proposer in arms.items():
            figures[name] = measure(proposer, parents, Scores(connection, executor))
            sys.stdout.write(f"{name} {json.dumps(figures[name])}\n")
            sys.stdout.flush()
    options.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
