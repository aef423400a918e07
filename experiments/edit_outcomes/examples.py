"""Turn collected outcomes into examples for the embedded LLM: an edit under the word for its end.

    python examples.py outcomes.sqlite examples.jsonl

Every edit that fits the LLM becomes an answer to its parent under the task `gain` or `loss`. The
families and LEMUR networks that the embedded LLM is measured on are left out.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from rich.progress import track

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.archive.lemur import LemurArchive
from deltanas.propose.hunks import UnplacedHunkError, compact_delta
from deltanas.screen.delta import DeltaError, apply_delta

sys.path.insert(0, str(Path(__file__).parents[1] / "embedded_llm"))
from corpus import (
    HELD_OUT_FAMILIES,
    MAX_LINES,
    RENAMED,
    is_held_out,
    is_learnable,
    shown,
)
from rename import renamed

QUERY = """
SELECT edits.parent, edits.seed, edits.delta, edits.writer, child.validation, old.validation
FROM edits JOIN scores AS old ON old.name = edits.parent AND old.seed = edits.seed
LEFT JOIN scores AS child ON child.name = edits.name AND child.seed = edits.seed
WHERE edits.verdict NOT IN ('infrastructure', 'no_op') AND old.validation IS NOT NULL
ORDER BY edits.name"""
LEAST = 0.01  # accuracy over the parent's that counts as a gain: three of the 300 images


def networks(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Return family and code of every network by name."""
    known = {
        one.baseline_id: (one.family, one.code)
        for one in BuiltinArchive().baselines(dataset="digits")
    }
    used = {name for (name,) in connection.execute("SELECT parent FROM edits")}
    for network in LemurArchive().all_networks():
        if network.name in used:
            known[network.name] = (network.family, network.source)
    for name, family, code in connection.execute("SELECT name, family, code FROM networks"):
        known[name] = (family, code)
    return known


def origin(name: str, parents: dict[str, str]) -> str:
    """Return the archive network that a network descends from."""
    while name in parents:
        name = parents[name]
    return name


def examples(connection: sqlite3.Connection) -> Iterator[dict[str, object]]:
    """Yield one line for each parent and task."""
    known = networks(connection)
    parents = dict(connection.execute("SELECT name, parent FROM edits"))
    answers: dict[tuple[str, str], list[str]] = defaultdict(list)
    for parent, _, delta, _, child, old in track(connection.execute(QUERY).fetchall()):
        family, code = known[parent]
        if family in HELD_OUT_FAMILIES or is_held_out(origin(parent, parents)):
            continue
        if len(shown(code).shown) > MAX_LINES:
            continue
        try:
            answer = compact_delta(shown(code), apply_delta(code, delta))
        except (DeltaError, UnplacedHunkError):
            continue
        if not is_learnable(answer):
            continue
        gained = child is not None and child - old >= LEAST
        kept = answers[parent, "gain" if gained else "loss"]
        if answer not in kept:
            kept.append(answer)
    for (parent, task), deltas in answers.items():
        family, code = known[parent]
        rng = random.Random(f"{parent}/{task}")
        for start in range(0, len(deltas), 8):  # as many answers as share a sequence
            texts = [shown(code).text(), *deltas[start : start + 8]]
            if rng.random() < RENAMED["builtin"]:
                texts = renamed(texts, rng)
            yield {
                "name": parent,
                "family": family,
                "task": task,
                "prompt": texts[0],
                "deltas": texts[1:],
            }


def main() -> None:
    """Write the examples and say how many there are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    with (
        closing(sqlite3.connect(f"file:{options.outcomes}?mode=ro", uri=True)) as connection,
        options.output.open("w") as file,
    ):
        for example in examples(connection):
            file.write(json.dumps(example) + "\n")
            counts[str(example["task"])] += len(example["deltas"])  # type: ignore[arg-type]
    sys.stdout.write(f"{dict(counts)}\n")


if __name__ == "__main__":
    main()
