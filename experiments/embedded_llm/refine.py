"""Make the second stage's corpus: of each baseline's deltas, those that leave widths alone.

An LLM of this size learns to change kernels, activations, norms, pooling and dropout, and to
insert layers that keep the shape, long before it keeps track of widths over many lines. The first
stage shows it everything; the second lets it settle on what it can do, with a share of the rest.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from corpus import ONE_LINERS, SHORT, changed_lines

OTHERS = 0.12  # share of the deltas that change widths which stay
SHORT_SHARE = 0.15  # of the deltas with fewer changed lines than SHORT which stay
_WIDTHS = re.compile(
    r"(Conv2d|Linear|ConvTranspose2d)\(\s*(?:in_channels=|in_features=)?([^,]+),"
    r"\s*(?:out_channels=|out_features=)?([^,)]+)"
)
_KEEPS_SHAPE = re.compile(
    r"\s*(?:torch\.)?nn\.(?:BatchNorm2d|GroupNorm|InstanceNorm2d|Dropout2d|Dropout|ReLU|ReLU6"
    r"|GELU|SiLU|ELU|LeakyReLU|Hardswish|Mish|Identity"
    r"|Conv2d\((\d+), \1, kernel_size=\d, padding=\d)"
    r"(?:\(.*\)|.*\)),?"
)


def leaves_widths(delta: str) -> bool:
    """Return whether every hunk swaps lines one for one with equal widths, or adds such layers."""
    return all(
        _same_widths(removed, added)
        if len(removed) == len(added)
        else not removed and all(_KEEPS_SHAPE.fullmatch(line) for line in added)
        for removed, added in _hunks(delta)
    )


def _same_widths(removed: list[str], added: list[str]) -> bool:
    return all(
        _WIDTHS.findall(old) == _WIDTHS.findall(new)
        for old, new in zip(removed, added, strict=True)
    )


def _hunks(delta: str) -> Iterator[tuple[list[str], list[str]]]:
    for hunk in delta.split("@@\n")[1:]:
        rows = hunk.split("\n")
        yield (
            [row[1:] for row in rows if row.startswith("-")],
            [row[1:] for row in rows if row.startswith("+")],
        )


def main() -> None:
    """Write the chosen deltas of a corpus, baselines without any left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    rng = random.Random(1)
    with options.corpus.open() as corpus, options.output.open("w") as output:
        for line in corpus:
            row = json.loads(line)
            row["deltas"] = [
                delta
                for delta in row["deltas"]
                if row["family"] == ONE_LINERS
                or (leaves_widths(delta) or rng.random() < OTHERS)
                and (changed_lines(delta) >= SHORT or rng.random() < SHORT_SHARE)
            ]
            if row["deltas"]:
                output.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
