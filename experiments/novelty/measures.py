"""What do the measures of novelty make of random edits, and what do they cost?

    python experiments/novelty/measures.py [--edits 300] [--seed 0]

The built-in networks are edited in turn, by 1 to 3 operators. An edit's similarity is that to the
network it was made from, as the indexes estimate it. Costs are CPU time: of a signature, and of
the shape check in this process with and without the trace, each the lesser of two.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from random import Random
from typing import Any

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.evaluate.channel import Limits
from deltanas.evaluate.inside.network import Refusal, load_class
from deltanas.evaluate.inside.shape_check import measure
from deltanas.propose.random_edit import random_edit
from deltanas.records import Baseline
from deltanas.screen.novelty import NoveltyIndex
from deltanas.source import fingerprint

LIMITS = Limits(timeout_s=60, memory_bytes=2**40, threads=1, max_parameters=2**62, max_macs=2**62)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result and the lesser CPU time of two calls, in milliseconds."""
    spent = []
    for _ in range(2):
        began = time.process_time()
        result = call()
        spent.append(1e3 * (time.process_time() - began))
    return result, min(spent)


def traced(code: str, baseline: Baseline, *, trace: bool = True) -> Any:
    """Return what the shape check tells of a network; None where it refuses."""
    try:
        return measure(
            load_class(code),
            baseline.recipe,
            channels=1,
            num_classes=10,
            limits=LIMITS,
            trace=trace,
        )
    except Refusal:
        return None


def similarities(edits: list[tuple[Baseline, str]], *, trees: bool) -> tuple[list[float], float]:
    """Return every edit's similarity to its parent, and the milliseconds of a signature."""
    index = NoveltyIndex(trees=trees)
    found, spent = [], []
    for parent, code in edits:
        (one, milliseconds), (other, _) = (
            timed(lambda text=text: index._signature(text)) for text in (code, parent.code)
        )
        found.append(float((one == other).mean()))
        spent.append(milliseconds)
    return found, statistics.median(spent)


def main() -> None:
    """Print one line for each measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng, known = (
        Random(asked.seed),
        list(BuiltinArchive().baselines(dataset="digits", max_image_size=64, max_lines=400)),
    )
    parents = [known[number % len(known)] for number in range(asked.edits)]
    edits = [(parent, random_edit(parent.code, rng)) for parent in parents]
    distinct = sum(fingerprint(code) != fingerprint(parent.code) for parent, code in edits)
    print(f"{len(edits)} edits of {len(known)} networks, {distinct} of another syntax tree")
    for name, trees in (("text", False), ("tree", True)):
        found, cost = similarities(edits, trees=trees)
        spread = " ".join(f"{sorted(found)[int(q * (len(found) - 1))]:.3f}" for q in QUANTILES)
        new = sum(each < 0.90 for each in found) / len(found)
        print(f"{name}: 5 25 50 75 95 % at {spread}; below 0.90 {new:.1%}; {cost:.1f} ms")
    graphs = {parent.baseline_id: traced(parent.code, parent).graph for parent in known}
    equal = untraced = refused = 0
    more = []
    for parent, code in edits:
        found_graph, with_trace = timed(lambda p=parent, c=code: traced(c, p))
        _, without = timed(lambda p=parent, c=code: traced(c, p, trace=False))
        more.append(with_trace - without)
        refused += found_graph is None
        untraced += found_graph is not None and found_graph.graph is None
        equal += found_graph is not None and found_graph.graph == graphs[parent.baseline_id]
    print(
        f"graph: equal to the parent's {equal}, not traced {untraced}, refused {refused};"
        f" {statistics.median(more):.1f} ms more (95 %: {sorted(more)[int(0.95 * len(more))]:.1f})"
    )


if __name__ == "__main__":
    main()
