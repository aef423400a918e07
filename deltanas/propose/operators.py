"""New deltas from earlier ones, without an LLM: recombination, transplant, a dropped hunk.

A delta is *good* where its network trained, is not degenerate, and gained on its parent.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from deltanas.propose.changes import Change, changed, changes, hunks, merged, rows
from deltanas.records import Attempt, Request, Verdict
from deltanas.source import fingerprint, frozen_lines

Operator = Callable[[Request, Random], str | None]

CONTEXT = 3  # lines on either side of a change by which its place in another network is told
TRIES = 32  # earlier deltas, or pairs of them, that an operator looks at
_NAME = re.compile(r"[A-Za-z_]\w*")


def recombination(request: Request, rng: Random) -> str | None:
    """Return the baseline with two of its good deltas, merged; None where no two go together."""
    code, children = request.slot.baseline.code, _children(request)
    pairs = list(itertools.combinations([row.code for row in children if is_good(row)], 2))
    for one, other in rng.sample(pairs, min(TRIES, len(pairs))):
        if found := _new(merged(code, one, other), code, children):
            return found
    return None


def transplant(request: Request, rng: Random) -> str | None:
    """Return the baseline with a good delta of another network or data set.

    None where nothing `transplanted` fits. Its own deltas here give what is known.
    """
    slot, children = request.slot, _children(request)
    sources = {one.baseline_id: one.code for one in request.parents}
    good = [row for row in request.known if is_good(row) and row.parent_id in sources]
    for row in rng.sample(good, min(TRIES, len(good))):
        source = sources[row.parent_id]
        code = transplanted(slot.baseline.code, source, changes(source, row.code))
        if found := _new(code, slot.baseline.code, children):
            return found
    return None


def drop(request: Request, rng: Random) -> str | None:
    """Return the baseline with an earlier delta of its own but for one hunk; None without one.

    Good deltas and the others come first in half of the cases each.
    """
    code, children = request.slot.baseline.code, _children(request)
    sides = [[row for row in children if is_good(row) is good] for good in (True, False)]
    rng.shuffle(sides)
    for row in itertools.chain(*(rng.sample(side, min(TRIES, len(side))) for side in sides)):
        groups = hunks(changes(code, row.code))
        for left_out in rng.sample(range(len(groups)), len(groups)):
            kept = itertools.chain(*groups[:left_out], *groups[left_out + 1 :])
            if found := _new(changed(code, kept), code, children):
                return found
    return None


OPERATORS: Mapping[str, Operator] = {
    "recombination": recombination,
    "transplant": transplant,
    "drop": drop,
}


def transplanted(target: str, source: str, made: Sequence[Change]) -> str | None:
    """Return `target` with changes of `source` made in it; None unless every one of them fits.

    A change fits where the lines that it replaces stand once in the target, whole and in a row,
    and outside the functions that no delta may edit. Lines that stand there several times, and a
    change that only adds lines, take 1 to 3 lines of the source on both sides along, as few as
    tell the place. Names that added lines share with the source must stand in the target too, and
    changes must not touch each other there.
    """
    known, ours = _names([source]), _names([target])
    if not _names(line for change in made for line in change.lines) & known <= ours:
        return None
    frozen = {line - 1 for line in frozen_lines(target)}
    placed: list[Change] = []
    for change in made:
        at = _place(rows(target), rows(source), change, frozen)
        if at is None or any(at.touches(other) for other in placed):
            return None
        placed.append(at)
    return changed(target, placed)


def is_good(row: Attempt) -> bool:
    """Tell whether a row's network gained on its parent, and can be believed."""
    return row.gain is not None and row.gain > 0 and not row.degenerate


def _place(
    target: Sequence[str], source: Sequence[str], change: Change, frozen: set[int]
) -> Change | None:
    """Return the change as one of the target's lines; None where its place is not told."""
    for context in range(CONTEXT + 1):  # no lines stand everywhere
        first = max(0, change.start - context)
        block = source[first : change.stop + context]
        found = [
            at
            for at in range(len(target) - len(block) + 1)
            if target[at : at + len(block)] == block
        ]
        if len(found) < 2:
            break
    if len(found) != 1:
        return None
    start = found[0] + change.start - first
    stop = start + change.stop - change.start
    inside = range(start, stop) if start < stop else [start - 1, start]
    fixed = [line in frozen for line in inside]
    if any(fixed) if start < stop else all(fixed):
        return None
    return Change(start, stop, change.lines)


def _children(request: Request) -> list[Attempt]:
    """Return the known deltas of the request's baseline that applied; the machine failed none."""
    slot = request.slot
    home = (slot.dataset, slot.baseline.baseline_id)
    return [
        row
        for row in request.known
        if row.code
        and (row.dataset, row.parent_id) == home
        and row.verdict is not Verdict.INFRASTRUCTURE
    ]


def _new(code: str | None, baseline: str, children: Iterable[Attempt]) -> str | None:
    """Return the code where it parses and is neither the baseline nor a known child of it."""
    if code is None or any(row.code == code for row in children):
        return None
    try:
        return code if fingerprint(code) != fingerprint(baseline) else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _names(lines: Iterable[str]) -> set[str]:
    return {name for line in lines for name in _NAME.findall(line)}
