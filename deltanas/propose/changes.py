"""Changes of a text, line by line, exact to the byte: how they are found, made and merged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from deltanas.propose.hunks import MERGE_GAP


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """Lines `start` to `stop`, counted from 0 and without the last, become other lines."""

    start: int
    stop: int
    lines: tuple[str, ...]

    def touches(self, other: Change) -> bool:
        """Tell whether no line that both leave alone stands between the two."""
        return self.start <= other.stop and other.start <= self.stop


def rows(text: str) -> list[str]:
    """Return the lines of a text; after a last newline comes one that is empty."""
    return text.split("\n")


@lru_cache(maxsize=1024)  # good deltas come again in every cycle
def changes(before: str, after: str) -> tuple[Change, ...]:
    """Return what makes `after` of `before`, in order; no two of them touch."""
    old, new = rows(before), rows(after)
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return tuple(
        Change(i1, i2, tuple(new[j1:j2])) for tag, i1, i2, j1, j2 in codes if tag != "equal"
    )


def changed(text: str, made: Iterable[Change]) -> str:
    """Return the text with changes made that do not touch each other."""
    lines = rows(text)
    for change in sorted(made, reverse=True):
        lines[change.start : change.stop] = change.lines
    return "\n".join(lines)


def merged(base: str, one: str, other: str) -> str | None:
    """Return `base` with what changed on either side; None where the sides conflict.

    They do where a change of one touches another change of the other. What both changed alike is
    changed once. The sides may be exchanged.
    """
    ours, theirs = changes(base, one), changes(base, other)
    if any(a != b and a.touches(b) for a in ours for b in theirs):
        return None
    return changed(base, {*ours, *theirs})


def hunks(made: Sequence[Change]) -> list[list[Change]]:
    """Return changes in order, in groups that share a hunk as few lines stand between them."""
    groups: list[list[Change]] = []
    for change in made:
        if groups and change.start - groups[-1][-1].stop <= MERGE_GAP:
            groups[-1].append(change)
        else:
            groups.append([change])
    return groups
