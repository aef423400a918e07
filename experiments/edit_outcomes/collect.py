"""Collect what edits do: train edited networks and their parents on digits under equal seeds.

    python collect.py outcomes.sqlite --edits 30000

Rounds of edits, of random operators or of the embedded LLM, to built-in networks, LEMUR networks
and to networks that earlier rounds made. A round depends on its number and on the rounds before
it; what the file holds already is not trained again, so the script may be killed at any time.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from hydra import compose, initialize_config_dir
from rich.progress import Progress

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.archive.lemur import LemurArchive
from deltanas.archive.sampling import sample_baselines
from deltanas.cli.environment import ensure
from deltanas.config.compose import from_hydra, register
from deltanas.config.schema import Config
from deltanas.evaluate.executor import LocalExecutor
from deltanas.evaluate.images.image_data import ImageSet
from deltanas.propose.proposer import LLMProposer, Proposer
from deltanas.propose.random_edit import EditError, random_edit, unified_delta
from deltanas.records import (
    Baseline,
    Candidate,
    Evaluation,
    Job,
    Proposal,
    Refused,
    Request,
    Slot,
    derive_seed,
)
from deltanas.screen.gates import screen_proposal
from deltanas.search.parts import open_llm
from deltanas.source import fingerprint

CONF = Path(__file__).parents[2] / "conf"
DATASET = "digits"
ROUND = 200  # edits
SEEDS = (101, 102, 103, 104)  # of training; the split of the images is that of seed 42
SPLIT_SEED = 42
LEMUR_NETWORKS = 240
DEAREST = 0.9  # CPU seconds of an epoch; dearer parents are left out
SOURCES = {"builtin": 0.55, "lemur": 0.1, "child": 0.35}  # of a round's parents
EDITS = {1: 5, 2: 3, 3: 2}  # random operators in one delta, and how often
LLM_ROUNDS = 5  # every so many rounds one is written by the LLM
TABLES = """
CREATE TABLE IF NOT EXISTS networks (
  name TEXT PRIMARY KEY, family TEXT NOT NULL, source TEXT NOT NULL, code TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS scores (
  name TEXT NOT NULL, seed INTEGER NOT NULL, verdict TEXT NOT NULL, validation REAL, test REAL,
  parameters INTEGER, macs INTEGER, seconds REAL NOT NULL, PRIMARY KEY (name, seed)) STRICT;
CREATE TABLE IF NOT EXISTS edits (
  name TEXT PRIMARY KEY, round INTEGER NOT NULL, parent TEXT NOT NULL, writer TEXT NOT NULL,
  operators INTEGER NOT NULL, seed INTEGER NOT NULL, delta TEXT NOT NULL, verdict TEXT NOT NULL)
  STRICT;
"""


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit to be tried."""

    name: str
    parent: Baseline
    seed: int  # of training, for both
    operators: int  # random ones; 0: the LLM wrote it


class Collector:
    """Draws rounds of edits and trains them."""

    def __init__(self, connection: sqlite3.Connection, config: Config, workers: int) -> None:
        self.held, self.config = connection, config
        self.held.executescript(TABLES)
        self.data = ImageSet(
            name=DATASET, seed=SPLIT_SEED, image_size=config.dataset.image_size, root=None
        ).load()
        self.executor = LocalExecutor(
            self.data, workers=workers, timeout_s=20.0, memory_gb=4.0, max_parameters=5_000_000,
            max_macs=500_000_000,
        )  # fmt: skip
        self.roots = {
            "builtin": list(BuiltinArchive().baselines(dataset=DATASET)),
            "lemur": _lemur(config),
        }
        self.known = {one.baseline_id: one for pool in self.roots.values() for one in pool}
        self.llm: Proposer | None = None

    def round(self, number: int, progress: Progress) -> None:
        """Try the edits of one round."""
        rng = random.Random(f"outcomes/{number}")
        written = number % LLM_ROUNDS == LLM_ROUNDS - 1
        edits = list(self._edits(number, rng, 0 if written else None))
        held = {name for (name,) in self.held.execute("SELECT name FROM edits")}
        if all(edit.name in held for edit in edits):
            return
        self._measure([(edit.parent, edit.seed) for edit in edits], progress, "parents")
        edits = [edit for edit in edits if edit.name not in held and self._trains(edit)]
        if written:
            edits = [edit for edit in edits if self._writer().fits(edit.parent, DATASET)]
        replies = self._written(edits) if written else [_random(edit) for edit in edits]
        children = []
        for edit, reply in zip(edits, replies, strict=True):
            outcome = screen_proposal(edit.name, reply, edit.parent, whole_network=False)
            if isinstance(outcome, Refused):
                self._keep(edit, outcome, outcome.verdict.value)
                continue
            child = replace(edit.parent, baseline_id=edit.name, code=outcome.code, parent_id=None)
            children.append((edit, outcome, child))
        self._measure([(child, edit.seed) for edit, _, child in children], progress, "edits")
        for edit, outcome, child in children:
            verdict = self._score(child.baseline_id, edit.seed)[0]
            self.known[child.baseline_id] = child
            self.held.execute(
                "INSERT OR IGNORE INTO networks VALUES (?, ?, 'child', ?)",
                (child.baseline_id, child.family, child.code),
            )
            self._keep(edit, outcome, verdict)

    def _edits(self, number: int, rng: random.Random, operators: int | None) -> Iterator[Edit]:
        counts = {name: round(share * ROUND) for name, share in SOURCES.items()}
        children = self._children(number)
        if not children:
            counts["builtin"] += counts.pop("child")
        index = 0
        for source, count in counts.items():
            pool = children if source == "child" else self.roots[source]
            for parent in sample_baselines(pool, count, rng):
                wanted = operators
                if wanted is None:
                    wanted = rng.choices(list(EDITS), list(EDITS.values()))[0]
                seed = self._seed_of(parent, rng)
                yield Edit(f"e{number:03d}-{index:03d}", parent, seed, wanted)
                index += 1

    def _seed_of(self, parent: Baseline, rng: random.Random) -> int:
        """Return a seed; that of a child is the one under which it was trained already."""
        seed = rng.choice(SEEDS)
        row = self.held.execute(
            "SELECT seed FROM edits WHERE name = ?", (parent.baseline_id,)
        ).fetchone()
        return seed if row is None else int(row[0])

    def _children(self, number: int) -> list[Baseline]:
        """Return what earlier rounds made and what trained not worse than its parent by much."""
        rows = self.held.execute(
            "SELECT edits.name, networks.family, networks.code, edits.parent FROM edits"
            " JOIN networks USING (name) JOIN scores USING (name, seed)"
            " JOIN scores AS old ON old.name = edits.parent AND old.seed = edits.seed"
            " WHERE round < ? AND scores.validation >= old.validation - 0.03"
            " AND scores.seconds <= ? ORDER BY edits.name",
            (number, DEAREST),
        )
        found = []
        for name, family, code, parent in rows.fetchall():
            recipe = self._root(parent).recipe
            child = Baseline(baseline_id=name, family=family, code=code, recipe=recipe)
            self.known[name] = child
            found.append(child)
        return found

    def _root(self, name: str) -> Baseline:
        while name not in self.known:
            (name,) = self.held.execute(
                "SELECT parent FROM edits WHERE name = ?", (name,)
            ).fetchone()
        return self.known[name]

    def _trains(self, edit: Edit) -> bool:
        _, validation, seconds = self._score(edit.parent.baseline_id, edit.seed)
        return validation is not None and seconds <= DEAREST

    def _score(self, name: str, seed: int) -> tuple[str, float | None, float]:
        query = "SELECT verdict, validation, seconds FROM scores WHERE name = ? AND seed = ?"
        verdict, validation, seconds = self.held.execute(query, (name, seed)).fetchone()
        return verdict, validation, seconds

    def _measure(
        self, wanted: Sequence[tuple[Baseline, int]], progress: Progress, title: str
    ) -> None:
        held = set(self.held.execute("SELECT name, seed FROM scores"))
        new = {
            f"{one.baseline_id}@{seed}": (one, seed)
            for one, seed in wanted
            if (one.baseline_id, seed) not in held
        }
        jobs = [
            Job(job_id=key, code=one.code, recipe=one.recipe, dataset=DATASET, seed=seed)
            for key, (one, seed) in new.items()
        ]
        task = progress.add_task(title, total=len(jobs))
        for found in self.executor.map(jobs):
            self._add_score(*new[found.job_id], found)
            progress.advance(task)
        progress.remove_task(task)

    def _add_score(self, one: Baseline, seed: int, found: Evaluation) -> None:
        self.held.execute(
            "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (one.baseline_id, seed, found.verdict.value, found.proxy_accuracy)
            + (found.first_epoch_accuracy, found.parameters, found.macs, found.cpu_seconds or 0.0),
        )

    def _keep(self, edit: Edit, outcome: Candidate | Refused, verdict: str) -> None:
        self.held.execute(
            "INSERT INTO edits VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (edit.name, int(edit.name[1:4]), edit.parent.baseline_id)
            + ("random_edit" if edit.operators else "llm", edit.operators, edit.seed)
            + (outcome.delta, verdict),
        )

    def _writer(self) -> Proposer:
        if self.llm is None:
            self.llm = LLMProposer(
                open_llm(self.config),
                template=self.config.template(),
                locked=True,
                lock_names=self.config.llm.lock_names,
            )
        return self.llm

    def _written(self, edits: Sequence[Edit]) -> list[Proposal]:
        requests = [
            Request(
                slot=Slot(
                    cycle=0,
                    number=number,
                    dataset=DATASET,
                    baseline=replace(
                        edit.parent,
                        proxy_accuracy=self._score(edit.parent.baseline_id, edit.seed)[1],
                    ),
                ),
                seed=derive_seed(7, edit.name),
            )
            for number, edit in enumerate(edits)
        ]
        return self._writer().propose(requests)


def _random(edit: Edit) -> Proposal:
    rng = random.Random(derive_seed(7, edit.name))
    try:
        reply = unified_delta(
            edit.parent.code, random_edit(edit.parent.code, rng, operators=edit.operators)
        )
    except EditError:
        reply = ""
    return Proposal(prompt="", reply=reply, prompt_tokens=0, output_tokens=0, seconds=0.0, seed=0)


def _lemur(config: Config) -> list[Baseline]:
    """Return some LEMUR networks, as many of every family as there are, none twice."""
    pool = LemurArchive().baselines(
        dataset=DATASET, max_image_size=32, max_lines=config.archive.max_lines
    )
    drawn = sample_baselines(pool, min(LEMUR_NETWORKS, len(pool)), random.Random("lemur"))
    return list({fingerprint(one.code): one for one in drawn}.values())


def main() -> None:
    """Try edits until the file holds as many as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--edits", type=int, default=30_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    ensure()
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = from_hydra(compose("config"))
    connection = sqlite3.connect(options.file, isolation_level=None)
    with closing(connection), Progress() as progress:
        collector = Collector(connection, config, options.workers)
        total = progress.add_task("all edits", total=options.edits)
        (number,) = connection.execute("SELECT coalesce(max(round), 0) FROM edits").fetchone()
        done = 0
        while done < options.edits:
            collector.round(number, progress)
            number += 1
            (done,) = connection.execute("SELECT count(*) FROM edits").fetchone()
            progress.update(total, completed=done)
        collector.executor.close()


if __name__ == "__main__":
    main()
