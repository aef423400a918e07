"""Make the corpus of the embedded LLM: baselines with several answers each, from LEMUR and edits.

Answers are compact deltas of two kinds, consistent random edits and differences between LEMUR
networks of which the second was more accurate after one epoch, and whole networks for the control.
"""

from __future__ import annotations

import argparse
import json
import random
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path

from rename import renamed
from rich.progress import track
from synthetic import synthetic_network

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.archive.lemur import LemurArchive
from deltanas.propose.hunks import Excerpt, UnplacedHunkError, compact_delta
from deltanas.propose.random_edit import EditError, random_edit
from deltanas.source import frozen_lines, strip_comments

HELD_OUT_FAMILIES = frozenset({"senet", "squeezenet", "vgg", "convmixer", "res2net", "highway"})
HELD_OUT_SHARE = (
    20  # one LEMUR network of so many is never seen, neither as baseline nor as answer
)
MAX_LINES = 90  # shown lines of a baseline; longer LEMUR networks do not fit the embedded LLM
LEMUR_SHARES = {"ga": 0.2, "alt": 0.15, "rl": 0.14, "rag": 0.3, "named": 0.09, "ast": 0.12}
PARTS = {"lemur": 0.4, "builtin": 0.2, "synthetic": 0.4}  # of all baselines
DESCENDANTS = {
    "lemur": 0.5,
    "builtin": 0.7,
    "synthetic": 0.1,
}  # of them are edited at random first
NETWORK_PART = 0.06  # of the baselines also get a whole network as an answer
ANSWERS = 8  # deltas per baseline
MAX_CHANGED = 12  # lines marked - or + in one delta
SHORT = 4  # below so many, a baseline keeps one delta only
ONE_LINERS = "ast"  # a family whose networks stand on a line or two; its deltas may be short
MAX_CHARACTERS = 620  # of a delta; in ast, where a network stands on one line, few are so short
RENAMED = {"lemur": 0.5, "builtin": 0.8, "synthetic": 0.8}  # share of baselines under new names
EDITS = {1: 4, 2: 4, 3: 1}  # random edits in one delta, and how often
PARTNERS = 24  # networks of the family looked at for a short improving difference


@dataclass(frozen=True, slots=True)
class Source:
    """One network of the corpus."""

    name: str
    family: str
    code: str
    accuracies: dict[str, float]  # best after one epoch, by dataset; empty for built-in networks


def is_held_out(name: str) -> bool:
    """Return whether a LEMUR network is kept for the measurement: one in 20, by its name."""
    return zlib.crc32(name.encode()) % HELD_OUT_SHARE == 0


@lru_cache(maxsize=16)
def shown(code: str) -> Excerpt:
    """Return what the embedded LLM sees of a network: all but the frozen functions."""
    return Excerpt.of(code, frozen_lines(code), hide_frozen=True)


def lemur_sources(path: Path | None) -> dict[str, list[Source]]:
    """Return LEMUR's classification networks that fit, by family, held-out ones included."""
    archive = LemurArchive(path)
    accuracies: dict[str, dict[str, float]] = defaultdict(dict)
    for dataset in ("cifar10", "cifar100", "mnist", "svhn", "imagenette", "celeba"):
        for name, accuracy in archive.best_epoch1(dataset).items():
            accuracies[name][dataset] = accuracy
    families: dict[str, list[Source]] = defaultdict(list)
    for network in archive.all_networks():
        if network.name not in accuracies or network.lines > MAX_LINES + 40:
            continue
        if len(shown(network.source).shown) <= MAX_LINES:
            families[network.family].append(
                Source(network.name, network.family, network.source, accuracies[network.name])
            )
    return families


def changed_lines(delta: str) -> int:
    """Return how many lines of a compact delta are marked - or +."""
    return sum(row[:1] in "-+" for row in delta.splitlines())


def improving_delta(
    source: Source, family: Sequence[Source], rng: random.Random
) -> tuple[str, str] | None:
    """Return the shortest delta to a better network of the family, and that network, or None."""
    best: tuple[int, str, str] | None = None
    lines = source.code.splitlines()
    for partner in rng.sample(family, min(PARTNERS, len(family))):
        if not any(
            accuracy > source.accuracies.get(dataset, 2.0) + 0.01
            for dataset, accuracy in partner.accuracies.items()
        ):
            continue
        matcher = SequenceMatcher(None, lines, partner.code.splitlines(), autojunk=False)
        if matcher.quick_ratio() < 0.7:
            continue
        try:
            delta = compact_delta(shown(source.code), partner.code)
        except UnplacedHunkError:
            continue
        size = changed_lines(delta)
        if 2 <= size <= MAX_CHANGED and (best is None or size < best[0]):
            best = (size, delta, partner.code)
    return None if best is None else best[1:]


def random_delta(code: str, rng: random.Random) -> tuple[str, str] | None:
    """Return the compact delta of a random edit and its result, or None where there is none."""
    try:
        edits = rng.choices(list(EDITS), list(EDITS.values()))[0]
        edited = random_edit(code, rng, operators=edits)
        delta = compact_delta(shown(code), edited)
    except (EditError, UnplacedHunkError, SyntaxError):
        return None
    return delta, edited


def is_learnable(delta: str) -> bool:
    """Return whether a delta is short and adds neither class nor method."""
    rows = delta.splitlines()
    return (
        2 <= changed_lines(delta) <= MAX_CHANGED
        and len(delta) <= MAX_CHARACTERS
        and not any(row.startswith(("+class ", "+    def ")) for row in rows)
    )


class Corpus:
    """Draws examples: a baseline with its answers. Example i depends on the seed and i alone."""

    def __init__(self, lemur: Path | None, seed: int) -> None:
        self.seed = seed
        self.lemur = {
            family: [source for source in members if not is_held_out(source.name)]
            for family, members in lemur_sources(lemur).items()
        }
        self.builtin = [
            baseline
            for baseline in BuiltinArchive().baselines(dataset="digits")
            if baseline.family not in HELD_OUT_FAMILIES
        ]

    def example(self, index: int) -> dict[str, object] | None:
        """Return one example, or None where the drawn network has too few answers."""
        rng = random.Random(f"{self.seed}/{index}")
        answers: dict[str, str] = {}
        part = rng.choices(list(PARTS), list(PARTS.values()))[0]
        if part == "lemur":
            kinds = [family for family in LEMUR_SHARES if self.lemur.get(family)]
            family = rng.choices(kinds, [LEMUR_SHARES[kind] for kind in kinds])[0]
            source = rng.choice(self.lemur[family])
            code, name = source.code, source.name
            found = improving_delta(source, self.lemur[family], rng)
            if found and rng.random() < 0.75 and is_learnable(found[0]):
                answers[found[0]] = found[1]
        elif part == "builtin":
            baseline = rng.choice(self.builtin)
            family, name, code = baseline.family, baseline.baseline_id, baseline.code
        else:
            family, name = part, f"synthetic-{index}"
            code = strip_comments(synthetic_network(rng))
        if not answers and rng.random() < DESCENDANTS[part]:
            code = self._descendant(code, rng)
        for _ in range(3 * ANSWERS):
            if len(answers) == ANSWERS:
                break
            found = random_delta(code, rng)
            if not found or not is_learnable(found[0]):
                continue
            long = family == ONE_LINERS or changed_lines(found[0]) >= SHORT
            if long or not any(map(_is_short, answers)):
                answers.setdefault(*found)
        if len(answers) < 2 or len(shown(code).shown) > MAX_LINES:
            return None
        texts = [shown(code).text(), *answers]
        if rng.random() < NETWORK_PART:
            texts.append(shown(next(iter(answers.values()))).text())
        if rng.random() < RENAMED[part]:
            texts = renamed(texts, rng)
        example = {
            "name": name,
            "family": family,
            "prompt": texts[0],
            "deltas": texts[1 : len(answers) + 1],
        }
        if len(texts) > len(answers) + 1:
            example["network"] = texts[-1]
        return example

    def _descendant(self, code: str, rng: random.Random) -> str:
        for _ in range(rng.randint(1, 3)):
            try:
                code = random_edit(code, rng)
            except EditError:
                break
        return code


def _is_short(delta: str) -> bool:
    return changed_lines(delta) < SHORT


_corpus: Corpus


def _start(lemur: Path | None, seed: int) -> None:
    global _corpus
    _corpus = Corpus(lemur, seed)


def _examples(indices: range) -> list[dict[str, object]]:
    return [example for i in indices if (example := _corpus.example(i))]


def corpus_examples(
    lemur: Path | None, count: int, *, seed: int, first: int, workers: int
) -> Iterator[dict[str, object]]:
    """Yield about `count` examples in a fixed order, made by several processes."""
    chunks = [range(i, min(i + 50, first + count)) for i in range(first, first + count, 50)]
    with ProcessPoolExecutor(workers, initializer=_start, initargs=(lemur, seed)) as pool:
        for examples in track(pool.map(_examples, chunks), "corpus", total=len(chunks)):
            yield from examples


def main() -> None:
    """Write the corpus as JSON lines; a prefix of it is a corpus too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--lemur", type=Path, help="imported archive; default: the user's cache")
    parser.add_argument("--count", type=int, default=9_000, help="baselines drawn")
    parser.add_argument("--first", type=int, default=0, help="index of the first one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with options.output.open("w") as file:
        for example in corpus_examples(
            options.lemur,
            options.count,
            seed=options.seed,
            first=options.first,
            workers=options.workers,
        ):
            file.write(json.dumps(example) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
