"""Turn the searches of the study into figures: one row a search, one a comparison.

    python collect.py ../../multirun/search_that_finds/8x24 --size 8x24

Arms are compared in pairs, seed by seed: the difference of two arms under one seed, its mean and
Student's 95 % interval over seeds, and how many seeds it favours.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t

FIGURES = (
    "top10_error",
    "top10_error_baselines",
    "confirmed_best_accuracy",
    "confirmed_best_gain",
    "confirmed_improved_rate",
    "confirmed_n",
    "distinct_rate",
    "valid_rate",
    "mean_gain",
    "race_epochs",
    "confirm_epochs",
    "output_tokens",
    "wall_seconds",
)
CONTROLS = ("random", "evolution", "llm")
LOWER = {"top10_error", "wall_seconds"}


def read(folder: Path) -> list[dict[str, Any]]:
    """Return one row for every finished search."""
    rows = []
    for path in sorted(folder.glob("*/*/summary.json")):
        state = path.with_name("study.json")
        if not state.exists() or not json.loads(state.read_text())["finished"]:
            continue
        summary = json.loads(path.read_text())
        row: dict[str, Any] = {"arm": path.parts[-3], "seed": int(path.parts[-2])}
        rows.append(row | {name: summary[name] for name in FIGURES})
    return rows


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean and Student's 95 % interval; the interval is infinite for one value."""
    mean = fmean(values)
    if len(values) < 2:
        return mean, float("-inf"), float("inf")
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return mean, mean - half, mean + half


def compared(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every arm against every control, by figure."""
    by_arm: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        by_arm[row["arm"]][row["seed"]] = row
    found = []
    for control in CONTROLS:
        for arm, seeds in by_arm.items():
            both = sorted(seeds.keys() & by_arm[control].keys())
            for figure in ("top10_error", "confirmed_best_accuracy", "distinct_rate"):
                values = [
                    seeds[seed][figure] - by_arm[control][seed][figure]
                    for seed in both
                    if None not in (seeds[seed][figure], by_arm[control][seed][figure])
                ]
                if arm == control or not values:
                    continue
                mean, low, high = interval(values)
                better = sum((value < 0) is (figure in LOWER) and value != 0 for value in values)
                found.append(
                    {
                        "arm": arm, "control": control, "figure": figure, "seeds": len(values),
                        "mean": mean, "low": low, "high": high, "seeds_better": better,
                    }
                )  # fmt: skip
    return found


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as CSV; what was not measured is empty."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}
            )


def main() -> None:
    """Write `searches_SIZE.csv` and `compared_SIZE.csv` beside this script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", required=True)
    options = parser.parse_args()
    here = Path(__file__).parent
    rows = read(options.folder)
    write(here / f"searches_{options.size}.csv", rows)
    write(here / f"compared_{options.size}.csv", compared(rows))


if __name__ == "__main__":
    main()
