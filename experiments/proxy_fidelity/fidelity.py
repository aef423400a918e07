"""Does epoch 1 rank LEMUR's networks as epoch 50 does? Within each dataset, and pooled.

Reads the imported archive; writes figures.csv and intervals.csv, draws fidelity.png and prints
every figure beside that of dossier.csv. What the measures mean stands in the README.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from pairs import Pair, Trial, best_pairs, read_trials, trial_pairs
from scipy.stats import kendalltau

from deltanas.archive.lemur import default_path
from deltanas.report.ranking import Correlation, spearman

HERE = Path(__file__).parent
SEEDS = range(20)  # of the bootstrap, to see how far bounds move; figures.csv takes the first
Dossier = Mapping[tuple[str, str], Mapping[str, str]]  # by dataset and measure


class Row(NamedTuple):
    """One figure; bounds are those of the 95 % bootstrap interval."""

    dataset: str
    measure: str
    n: int
    value: float | None
    low: float | None = None
    high: float | None = None


def correlate(
    pairs: Sequence[Pair], *, within: bool = False, seed: int = SEEDS[0], resamples: int = 2000
) -> Correlation:
    """Return Spearman's rho; `within`: of ranks within each dataset."""
    datasets, early, late = zip(*pairs, strict=True)
    groups = datasets if within else None
    return spearman(early, late, groups=groups, seed=seed, resamples=resamples)


def correlation_row(dataset: str, measure: str, pairs: Sequence[Pair], **options: bool) -> Row:
    """Return the rho of pairs as a row; options as in `correlate`."""
    found = correlate(pairs, **options)
    return Row(dataset, measure, found.n, found.rho, found.low, found.high)


def ranking_rows(dataset: str, pairs: Sequence[Pair]) -> Iterator[Row]:
    """Yield rho and tau of all pairs, rho among the best by epoch 1, and how many stay best."""
    _, early, late = zip(*pairs, strict=True)
    ranked = sorted(pairs, key=lambda pair: -pair.early)
    best = sorted(range(len(ranked)), key=lambda i: -ranked[i].late)[:20]
    yield correlation_row(dataset, "epoch_50", pairs)
    yield Row(dataset, "kendall", len(pairs), float(kendalltau(early, late).statistic))
    yield correlation_row(dataset, "top_quarter", ranked[: len(ranked) // 4])
    yield correlation_row(dataset, "top_20", ranked[:20])
    yield Row(dataset, "overlap_20", 20, sum(i < 20 for i in best) / 20)


def measure(trials: Mapping[str, Sequence[Trial]], best: Mapping[str, list[Pair]]) -> list[Row]:
    """Return all figures: those of every dataset, then the pooled ones."""
    rows: list[Row] = []
    for name, found in trials.items():
        rows += ranking_rows(name, best[name])
        for end, order in (("", found), ("_first", found[::-1])):
            same, every = trial_pairs(name, order, best_only=True), trial_pairs(name, order)
            rows.append(correlation_row(name, f"same_trial{end}", same))
            rows.append(correlation_row(name, f"all_trials{end}", every))
        rows.append(correlation_row(name, "epoch_5", best_pairs(name, found, 5)))
        rows.append(correlation_row(name, "last_epoch", best_pairs(name, found, None)))
    pooled = sum(best.values(), [])
    rhos = [(row.value or 0.0, row.n) for row in rows if row.measure == "epoch_50"]
    mean = sum(rho * n for rho, n in rhos) / len(pooled)
    rows += ranking_rows("pooled", pooled)
    rows.append(correlation_row("pooled", "within_dataset", pooled, within=True))
    rows.append(Row("pooled", "weighted_mean", len(pooled), mean))
    mix = [*best["mnist"], *best["celeba"], *best["svhn"]]
    return [*rows, correlation_row("mnist+celeba+svhn", "epoch_50", mix)]


def compare(rows: Sequence[Row], dossier: Dossier) -> None:
    """Write figures.csv and print every figure with the dossier's and their difference."""
    with (HERE / "figures.csv").open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow([*Row._fields, "dossier_n", "dossier", "difference"])
        for row in rows:
            theirs = dossier.get((row.dataset, row.measure), {"n": "", "value": ""})
            gap, digits = "", len(theirs["value"].partition(".")[2])
            if theirs["value"] and row.value is not None:
                gap = f"{round(row.value, digits) - float(theirs['value']):+.{digits}f}"
            cells = ["" if value is None else f"{value:.5f}" for value in row[3:]]
            line = [*row[:3], *cells, theirs["n"], theirs["value"], gap]
            out.writerow(line)
            print("{:<18}{:<15}{:>5}{:>9}{:>9}{:>9}{:>6}{:>8}{:>8}".format(*line))


def compare_bounds(best: Mapping[str, list[Pair]], dossier: Dossier) -> None:
    """Write intervals.csv: how far bounds move with the bootstrap's seed, and the dossier's."""
    with (HERE / "intervals.csv").open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["dataset", "bound", "lowest", "highest", "dossier"])
        for name, pairs in {**best, "pooled": sum(best.values(), [])}.items():
            found = [correlate(pairs, seed=seed, resamples=1000) for seed in SEEDS]
            for bound in ("low", "high"):
                values = [getattr(one, bound) for one in found]
                theirs = dossier[name, "epoch_50"][bound]
                out.writerow([name, bound, f"{min(values):.3f}", f"{max(values):.3f}", theirs])


def draw(rows: Sequence[Row], best: Mapping[str, list[Pair]]) -> None:
    """Draw the accuracies of both epochs, and rho with its interval."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    scatter, forest = figure.subplots(1, 2)
    for name, pairs in best.items():
        _, early, late = zip(*pairs, strict=True)
        scatter.scatter(early, late, s=12, alpha=0.7, linewidth=0, label=name)
    scatter.set(xlabel="best accuracy after epoch 1", ylabel="best accuracy after epoch 50")
    scatter.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    shown = [row for row in rows if row.measure in ("epoch_50", "within_dataset")]
    for height, row in enumerate(shown):
        colour = "C0" if row.dataset in best else "C3"
        forest.plot((row.low, row.high), (height, height), color=colour)
        forest.plot(row.value, height, "o", color=colour)
    names = {"within_dataset": "pooled ranks within dataset"}
    labels = [f"{names.get(row.measure, row.dataset)}, n = {row.n}" for row in shown]
    forest.set_yticks(range(len(shown)), labels)
    forest.set(xlabel="Spearman's rho, 95 % interval", xlim=(0, 1))
    forest.invert_yaxis()
    figure.savefig(HERE / "fidelity.png", dpi=110)


def main() -> None:
    """Read, measure, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, default=default_path(), help="%(default)s")
    trials = read_trials(parser.parse_args().archive)
    with (HERE / "dossier.csv").open(newline="") as file:
        dossier = {(row["dataset"], row["measure"]): row for row in csv.DictReader(file)}
    best = {name: best_pairs(name, found, 50) for name, found in trials.items()}
    rows = measure(trials, best)
    compare(rows, dossier)
    compare_bounds(best, dossier)
    draw(rows, best)


if __name__ == "__main__":
    main()
