"""A comparison for programs: one row for every group, row of the paper and lost run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from deltanas.records import LostRun
from deltanas.report.comparison.grouping import reductions, whole_networks
from deltanas.report.comparison.groups import Group
from deltanas.report.comparison.paper import PaperRow, paper_row

# over seeds: mean, range and Student's 95 % interval of each
_OVER_SEEDS = (
    "valid_rate",
    "mean_first_epoch_accuracy",
    "mean_gain",
    "mean_delta_lines",
    "mean_delta_tokens",
    "mean_full_lines",
    "reduction_lines",
    "reduction_tokens",
    "spearman_rho",
    "distinct_rate",
    "confirmed_improved_rate",
    "confirmed_best_accuracy",
    "confirmed_best_gain",
    "top10_error",
    "top10_error_baselines",
    "race_epochs",
    "prompt_tokens",
    "output_tokens",
    "wall_seconds",
)
_NAMES = ("llm", "dataset", "archive", "protocol", "ablation", "variant")
COLUMNS = (
    "source",  # ours, paper, or why a run has no figures
    *_NAMES,
    "num_seeds",
    "seeds",
    "attempted",
    "valid",
    "infrastructure_failures",
    "pooled_valid_rate",
    "pooled_valid_rate_low",
    "pooled_valid_rate_high",
    "valid_rate_excl_infra",
    "useful_rate",
    "best_first_epoch_accuracy",
    "spearman_n",
    "reduction_lines_on_full",
    "reduction_tokens_on_full",
    "seconds_per_valid",
    *(
        f"{name}_{part}"
        for name in _OVER_SEEDS
        for part in ("mean", "min", "max", "t_low", "t_high")
    ),
    "directories",
    "note",
)
Value = str | float | None


def comparison_csv(groups: Sequence[Group], lost: Sequence[LostRun]) -> str:
    """Return the table as CSV; rates and accuracies in [0, 1], what was not measured empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    papers = dict.fromkeys((paper_row(group.key), group.key.llm) for group in groups)
    writer.writerows(_ours(group, groups) for group in groups)
    writer.writerows(_theirs(paper, llm) for paper, llm in papers if paper is not None)
    writer.writerows(_lost(run) for run in lost)
    return text.getvalue()


def _ours(group: Group, groups: Sequence[Group]) -> Mapping[str, Value]:
    low, high = group.valid_interval
    lines, tokens = reductions(group, whole_networks(group, groups))
    row: dict[str, Value] = {
        "source": "ours",
        **{name: getattr(group.key, name) for name in _NAMES},
        "num_seeds": len(group.runs),
        "seeds": " ".join(str(run.summary.seed) for run in group.runs),
        "attempted": group.attempted,
        "valid": group.valid,
        "infrastructure_failures": group.total("infrastructure_failures"),
        "pooled_valid_rate": group.valid_rate,
        "pooled_valid_rate_low": low,
        "pooled_valid_rate_high": high,
        "valid_rate_excl_infra": group.valid_rate_excl_infra,
        "useful_rate": group.useful_rate,
        "best_first_epoch_accuracy": group.best_accuracy,
        "spearman_n": group.total("spearman_n"),
        "reduction_lines_on_full": lines,
        "reduction_tokens_on_full": tokens,
        "seconds_per_valid": group.seconds_per_valid,
        "directories": " ".join(str(run.directory) for run in group.runs),
        "note": f"{len(group.repeats)} repeated runs left out" if group.repeats else "",
    }
    for name in _OVER_SEEDS:
        spread = group.spread(name)
        if spread is not None:
            row[f"{name}_mean"], row[f"{name}_min"] = spread.mean, spread.smallest
            row[f"{name}_max"] = spread.largest
            row[f"{name}_t_low"], row[f"{name}_t_high"] = spread.low, spread.high
    return row


def _theirs(paper: PaperRow, llm: str) -> Mapping[str, Value]:
    low, high = paper.valid_interval
    return {
        "source": "paper",
        "llm": llm,
        "num_seeds": 1,
        "attempted": paper.attempted,
        "valid": paper.valid,
        "pooled_valid_rate": paper.valid_rate,
        "pooled_valid_rate_low": low,
        "pooled_valid_rate_high": high,
        "useful_rate": paper.useful_rate,
        "best_first_epoch_accuracy": paper.best_cifar10,
        "spearman_n": paper.spearman_n,
        "reduction_lines_on_full": paper.reduction_lines,
        "mean_first_epoch_accuracy_mean": paper.mean_accuracy,
        "mean_delta_lines_mean": paper.delta_lines,
        "spearman_rho_mean": paper.spearman_rho,
        "note": f"{paper.name}; arXiv 2605.04903; best accuracy is on CIFAR-10",
    }


def _lost(run: LostRun) -> Mapping[str, Value]:
    settings = run.settings
    return {
        "source": run.state.value,
        **{
            name: settings.get(f"{name}.name")
            for name in ("llm", "dataset", "archive", "protocol")
        },
        "ablation": settings.get("ablation"),
        "seeds": settings.get("seed"),
        "attempted": run.attempted,
        "valid": run.valid,
        "directories": str(run.directory),
        "note": f"{run.reason}; {' '.join(run.overrides)}",
    }
