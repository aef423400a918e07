"""The table in docs/speed.md: goals of speed, and what the newest results measured.

    python benchmarks/summary.py

Reads benchmarks/results/*.json; every row says which script wrote its figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from results import read

Row = tuple[str, str, str, str]  # question, goal, figure, and the script that measures it


def candidates() -> Iterator[Row]:
    """Yield what evaluating a candidate costs."""
    evaluation = read("evaluation")
    parts, loops = evaluation["parts_ms"], evaluation["loop_ratios"]
    yield (
        "a candidate besides its own work",
        "50 ms",
        f"{parts['ours in all']:.0f} ms: forks {parts['forks']:.0f}, ends {parts['ends']:.0f},"
        f" jail {parts['jail']:.0f}, executor {parts['executor']:.0f},"
        f" judging {parts['judging']:.0f}",
        "evaluation",
    )
    yield (
        "seconds of training, as a multiple of a bare loop on resident batches",
        "1.1",
        ", ".join(f"{each['fabric']:.2f} at {size}" for size, each in loops.items())
        + f" (Trainer: up to {max(each['trainer'] for each in loops.values()):.2f})",
        "evaluation",
    )
    groups = read("meta_gate")["groups"]
    gate, lemur = groups["all"], groups["LEMUR"]
    yield (
        "shape check on the meta device",
        "60 ms, 8 x cheaper than a real one, 98 % agreement",
        f"{lemur['gate_ms']:.0f} ms and {lemur['times_cheaper']:.0f} x on LEMUR's,"
        f" {gate['agreed']} of {gate['networks']} agree, half of them broken",
        "meta_gate",
    )
    memory = read("worker_memory")
    yield (
        "memory of one more worker",
        "without the images",
        f"{memory['growth_mb_a_worker']:.0f} MB, the images being {memory['images_mb']:.0f} MB",
        "worker_memory",
    )
    cells = read("authors_trainer")
    yield (
        "candidates an hour, as a multiple of LEMUR's own trainer"
        " (in brackets the most that a data path can reach)",
        "7.5 for a tiny CNN at 32 px",
        "; ".join(f"{network} {', '.join(each)}" for network, each in by_network(cells).items()),
        "authors_trainer",
    )


def generation() -> Iterator[Row]:
    """Yield how fast deltas are written."""
    sides = read("generation")["sides"]
    new, known = sides["lock, siblings"], sides["lock, known, siblings"]
    yield (
        "deltas a second at batch 32 under a grammar, as a multiple of transformers' `generate`,"
        " which has none, at batch 1 (in brackets at batch 32 with as many siblings)",
        "8",
        f"{ratios(known)} with 4 siblings a prompt, {ratios(new)} where their baselines are new;"
        f" {ratios(sides['lock'])} without siblings, where reading the prompts alone is"
        f" {ratios(sides['reading prompts'])}; without a grammar {ratios(sides['free, siblings'])}"
        f" and {ratios(sides['free'])}",
        "generation",
    )
    yield (
        "sampling steps spared by forced lines",
        "40 %",
        f"{1 - new['sampled_share']:.0%}",
        "generation",
    )
    yield (
        "share of generation that the grammar takes",
        "5 %",
        f"{known['constraint_share']:.0%}, masks alone {known['masks_share']:.0%};"
        f" {new['constraint_share']:.0%} where baselines are new",
        "generation",
    )


def tuning() -> Iterator[Row]:
    """Yield how fast LoRA is."""
    found = read("tuning")["embedded"]
    yield (
        "LoRA tokens a second, packed, as a multiple of padded",
        "2",
        ", ".join(
            f"{each['packed_over_padded']:.1f} with {each['pairs_a_prompt']} to a prompt"
            for each in found
        )
        + f"; unshared, padding is {found[0]['padding']:.0%}",
        "tuning",
    )


def archives() -> Iterator[Row]:
    """Yield what baselines and their novelty cost."""
    archive = read("archive")["found"]
    if "import_cpu_s" in archive:  # with --wheel
        yield (
            "LEMUR's wheel to SQLite, one core",
            "40 s, 130 MB",
            f"{archive['import_cpu_s']:.1f} s of CPU time, {archive['file_mb']:.0f} MB",
            "archive",
        )
    yield (
        "drawing 50 networks; opening a pool, once a run",
        "20 ms",
        f"{archive['sample_50_ms']['median']:.1f} ms; {archive['open_pool_ms']['median']:.0f} ms",
        "archive",
    )
    yield (
        "novelty among 100,000 networks",
        "20 ms",
        f"{archive['novelty_of_unseen_ms']['median']:.2f} ms,"
        f" {archive['novelty_bytes'] / 1e6:.0f} MB",
        "archive",
    )


def runs() -> Iterator[Row]:
    """Yield what a whole run costs."""
    whole = read("whole_run")
    start, growth = whole["start"], whole["growth"]
    yield (
        "`deltanas --help`; first row of a default run on disk",
        "1 s; 20 s",
        f"{start['help_s']['median']:.1f} s; {start['first_row_s']['median']:.1f} s",
        "whole_run",
    )
    yield (
        f"CPU time of {growth['attempts']:,} attempts: the last half, as a multiple of the first",
        "0.9 to 1.1",
        f"{growth['cpu_last_half_by_first']:.3f}",
        "whole_run",
    )


def ratios(side: dict[str, float]) -> str:
    """Return how many times as fast as `generate` a side is, at batch 1 and (in brackets) 32."""
    return f"{side['deltas_ratio_to_batch_1']:.1f} ({side['deltas_ratio_to_batch_32']:.1f})"


def by_network(cells: dict[str, dict[str, float]]) -> dict[str, list[str]]:
    """Return the ratio of every image size and the most that it can be, network by network."""
    found: dict[str, list[str]] = {}
    for name, each in cells.items():
        network, _, pixels = name.rpartition("-")
        most = each["linted_epoch_s"] / each["floor_epoch_s"]
        ratio = f"{each['ratio_linted']:.1f} ({most:.1f}) at {pixels} px"
        found.setdefault(network, []).append(ratio)
    return found


def main() -> None:
    print("| | goal | measured | benchmarks/ |\n|---|---|---|---|")
    rows = chain(candidates(), generation(), tuning(), archives(), runs())
    for question, goal, figure, script in rows:
        print(f"| {question} | {goal} | {figure} | `{script}.py` |")


if __name__ == "__main__":
    main()
