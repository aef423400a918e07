"""Run the arms of the study, two searches at a time, and go on with what was broken off.

    python study.py ../../multirun/search_that_finds --size 8x24 --seeds 8 [--arms random llm ...]

A finished search is left as it is. Each takes one core, so that seconds compare.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.progress import Progress

COMMON = (
    "protocol.finalists=0",
    "confirm.sample=24",
    "confirm.best=10",
    "executor.workers=1",
    "tracker=none",
)
LORA = ("lora.r=8", "lora.alpha=16", "lora.lr=3e-4", "lora.epochs=1", "lora.batch=4")
LLM = (*LORA, "lora.accumulate=1", "lora.pairs=48")
RANDOM = ("ablation=random_edit",)
STRONG = ("parents=bandit", "protocol.survey=38")
RACED = ("confirm.race=3", "novelty.gate=off")
NEW = ("confirm.race=3", "novelty.measure=graph")
VARIED = ("llm.temperature=0.8", "llm.top_p=1.0", "llm.replacement=false", "llm.redraws=3")
MIXED = ("proposer.operators=0.3",)
ARMS: dict[str, tuple[str, ...]] = {
    "random": RANDOM,
    "random_raced": (*RANDOM, *STRONG, *RACED),
    "evolution": ("ablation=evolution", "protocol.survey=38"),
    "llm": LLM,
    "llm_bandit": (*LLM, "parents=bandit", "protocol.survey=38"),
    "llm_tournament": (*LLM, "parents=tournament", "protocol.survey=38"),
    "llm_raced": (*LLM, *RACED),
    "llm_varied": (*LLM, *VARIED),
    "llm_mixed": (*LLM, *MIXED),
    "random_together": (*RANDOM, *STRONG, *NEW, *MIXED),
    "together": (*LLM, *STRONG, *NEW, *VARIED, *MIXED),
}


def finished(directory: Path) -> bool:
    """Tell whether a search came to its end."""
    log = directory / "study.json"
    return log.exists() and bool(json.loads(log.read_text())["finished"])


def search(directory: Path, words: Sequence[str]) -> str:
    """Start a search or go on with it; return what became of it."""
    if finished(directory):
        return "was finished"
    directory.mkdir(parents=True, exist_ok=True)
    begun = (directory / "run.sqlite").exists()
    asked = (f"resume={directory}",) if begun else (f"hydra.run.dir={directory}", *words)
    began = time.monotonic()
    with (directory / "log").open("a") as log:
        command = [sys.executable, "-m", "deltanas", *asked]
        code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    state = {"finished": code == 0, "seconds": time.monotonic() - began, "words": list(words)}
    (directory / "study.json").write_text(json.dumps(state) + "\n")
    return "finished" if code == 0 else f"ended with {code}, see {directory / 'log'}"


def main() -> None:
    """Run every arm under every seed; the seeds are the outer loop, so that a part is balanced."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", default="8x24", help="cycles x candidates")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--jobs", type=int, default=2, help="searches at a time")
    options = parser.parse_args()
    cycles, candidates = options.size.split("x")
    size = (f"protocol.cycles={cycles}", f"protocol.candidates={candidates}")
    wanted = [
        (options.output.resolve() / options.size / arm / str(seed), (*COMMON, *size, *ARMS[arm]))
        for seed in range(1, options.seeds + 1)
        for arm in options.arms
    ]
    with Progress() as progress, ThreadPoolExecutor(options.jobs) as pool:
        task = progress.add_task("searches", total=len(wanted))

        def one(directory: Path, words: Sequence[str]) -> None:
            said = search(directory, (*words, f"seed={directory.name}"))
            progress.print(f"{directory.parent.name} seed {directory.name}: {said}")
            progress.advance(task)

        for done in [pool.submit(one, *each) for each in wanted]:
            done.result()


if __name__ == "__main__":
    main()
