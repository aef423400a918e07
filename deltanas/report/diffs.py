"""The best candidates, their coloured deltas, and where they came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate

from deltanas.records import Attempt, Run
from deltanas.report.metrics import is_valid

DIFF_CSS = """
.diff { font: 12px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: 0;
  padding: .6rem 0; overflow-x: auto; tab-size: 4 }
.diff span { display: block; min-width: max-content; min-height: 1.5em; padding: 0 .9rem }
.diff .added { background: rgba(46, 160, 67, .17) }
.diff .removed { background: rgba(248, 81, 73, .16) }
.diff .place, .diff .head { opacity: .6 }
"""


def best_attempts(attempts: Sequence[Attempt], limit: int = 5) -> list[Attempt]:
    """Return the best different networks by proxy accuracy, never by test accuracy.

    Degenerate ones and those that reuse another's score are left out; ties go to the earlier.
    """
    ranked = [
        (attempt.proxy_accuracy, attempt)
        for attempt in attempts
        if is_valid(attempt)
        and attempt.proxy_accuracy is not None
        and not attempt.degenerate
        and attempt.reused_from is None
    ]
    ranked.sort(key=lambda pair: (-pair[0], pair[1].cycle, pair[1].slot))
    return [attempt for _, attempt in ranked[:limit]]


def best_so_far(attempts: Sequence[Attempt]) -> tuple[float | None, ...]:
    """Return the proxy accuracy of the best network after each attempt, None before the first.

    Degenerate ones do not count. Empty for several data sets, whose accuracies do not compare.
    """
    if len({attempt.dataset for attempt in attempts}) > 1:
        return ()
    scores = [
        -math.inf if a.proxy_accuracy is None or a.degenerate else a.proxy_accuracy
        for a in attempts
    ]
    return tuple(None if best < 0 else best for best in accumulate(scores, max))


def parents_of(run: Run) -> dict[str, str | None]:
    """Return the parent's id of every baseline of a run; None for those of the archive."""
    return {used.baseline.baseline_id: used.baseline.parent_id for used in run.baselines}


def lineage(attempt: Attempt, parents: Mapping[str, str | None]) -> list[str]:
    """Return the ids of an attempt and of what it was made from, up to one of the archive's.

    `parents` is of `parents_of`. Ends early where a baseline is unknown.
    """
    chain = [attempt.attempt_id, attempt.parent_id]
    while (parent := parents.get(chain[-1])) is not None and parent not in chain:
        chain.append(parent)
    return chain


def diff_fragment(delta: str) -> str:
    """Return a delta as HTML whose lines carry the classes of `DIFF_CSS`; its text is escaped."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    kind, lines = "head", []
    for line in delta.splitlines():
        inside = kind != "head" or line.startswith("@@")  # file names come before the first hunk
        kind = kinds.get(line[:1], "kept") if inside else "head"
        lines.append(f'<span class="{kind}">{escape(line)}</span>')
    return f'<pre class="diff">{"".join(lines)}</pre>'


def diff_page(attempts: Sequence[Attempt]) -> str:
    """Return a self-contained HTML page with the deltas of some attempts."""
    parts = [
        f"<h3>{escape(attempt.attempt_id)} from {escape(attempt.parent_id)}, "
        f"proxy accuracy {attempt.proxy_accuracy:.4f}</h3>{diff_fragment(attempt.delta)}"
        for attempt in attempts
    ]
    style = f"<style>body {{ font-family: sans-serif }} {DIFF_CSS}</style>"
    return f"<!doctype html><meta charset='utf-8'>{style}{''.join(parts)}"
