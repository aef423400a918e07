"""Take from run directories what the study keeps: summaries, a row per cycle, and their picture.

python experiments/paper_protocol/collect.py multirun/paper_protocol
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from deltanas.cli.run_folders import SUMMARY, find_runs
from deltanas.record.store import RunStore
from deltanas.records import Attempt
from deltanas.report.metrics import is_valid

HERE = Path(__file__).parent
ARMS = {"none": "delta", "full_generation": "full generation", "random_edit": "random edit"}
PANELS = {
    "valid_rate": "valid, % of attempts",
    "mean_gain": "mean gain over the parent, pp",
    "new": "attempts with a new network, %",
}


def rows_of(arm: str, seed: int, attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Return one row per cycle; `new` counts valid networks that no attempt had before."""
    cycles: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        cycles[attempt.cycle].append(attempt)
    rows = []
    for cycle, members in sorted(cycles.items()):
        valid = [each for each in members if is_valid(each)]
        new = [each for each in valid if not each.reused_from]
        gains = [each.gain for each in valid if each.gain is not None]
        new_gains = [each.gain for each in new if each.gain is not None]
        rows.append(
            {
                "arm": arm,
                "seed": seed,
                "cycle": cycle,
                "attempted": len(members),
                "valid": len(valid),
                "new": len(new),
                "admitted": sum(each.admitted for each in members),
                "mean_gain": round(fmean(gains), 4) if gains else None,
                "mean_gain_new": round(fmean(new_gains), 4) if new_gains else None,
                "new_above_parent": sum(gain > 0 for gain in new_gains),
            }
        )
    return rows


def picture(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw each panel's mean over seeds by cycle, with a band for their range."""
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    for axes, (measure, label) in zip(
        figure.subplots(1, len(PANELS)), PANELS.items(), strict=True
    ):
        for arm in ARMS.values():
            by_cycle: dict[int, list[float]] = defaultdict(list)
            for row in rows:
                if row["arm"] == arm and (value := value_of(row, measure)) is not None:
                    by_cycle[row["cycle"]].append(value)
            cycles, values = list(by_cycle), list(by_cycle.values())
            (line,) = axes.plot(cycles, [fmean(each) for each in values], label=arm)
            axes.fill_between(
                cycles,
                [min(each) for each in values],
                [max(each) for each in values],
                color=line.get_color(),
                alpha=0.15,
                linewidth=0,
            )
        axes.set_xlabel("cycle")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def value_of(row: dict[str, Any], measure: str) -> float | None:
    """Return one panel's percentage or percentage points of one cycle."""
    if measure == "mean_gain":
        return None if row["mean_gain"] is None else 100 * row["mean_gain"]
    return 100 * row["valid" if measure == "valid_rate" else "new"] / row["attempted"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    rows: list[dict[str, Any]] = []
    for directory in find_runs(parser.parse_args().paths):
        summary = json.loads((directory / SUMMARY).read_text())
        arm, seed = ARMS[summary["ablation"]], summary["seed"]
        kept = HERE / "runs" / f"{summary['ablation']}_seed{seed}" / SUMMARY
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(summary, indent=2) + "\n")
        with RunStore(directory / "run.sqlite", read_only=True) as store:
            rows += rows_of(arm, seed, store.read().attempts)
    rows.sort(key=lambda row: (list(ARMS.values()).index(row["arm"]), row["seed"], row["cycle"]))
    with (HERE / "cycles.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    picture(rows, HERE / "cycles.png")
    for arm in ARMS.values():
        mine = [row for row in rows if row["arm"] == arm]
        counts = [
            f"{sum(row[count] for row in mine)} {count.replace('_', ' ')}"
            for count in ("attempted", "valid", "new", "new_above_parent")
        ]
        print(f"{arm}: {', '.join(counts)}")


if __name__ == "__main__":
    main()
