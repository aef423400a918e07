"""Deltas as an LLM writes them under the lock: short hunks without numbers, numbered afterwards.

A *compact* delta starts each hunk with a bare `@@` and holds only as much leading context as
the hunk needs to be found, the first place at or after the end of the hunk before it where its
old lines stand, or up to three lines more to start at one that stands only once. `number_hunks`
turns it into a unified diff that names its places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

HUNK = "@@"  # the whole header of a hunk in a compact delta
ANCHOR = 3  # lines looked at above an insertion for one that stands nowhere else
_NAMES = ("--- baseline.py", "+++ improved.py")
MERGE_GAP = 2  # changes with at most so many equal lines between them share a hunk


class UnplacedHunkError(ValueError):
    """A hunk's old lines stand nowhere after the hunk above it, or it cannot be anchored."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The lines of a baseline that an LLM sees, and which of them it may change.

    Lines are counted from 0 over the whole source; `shown` ascends.
    """

    lines: tuple[str, ...]  # all lines of the source
    shown: tuple[int, ...]  # indices of the lines in the prompt
    frozen: frozenset[int]  # indices of lines that may be context but never change

    @classmethod
    def of(cls, code: str, frozen_lines: frozenset[int], *, hide_frozen: bool) -> Excerpt:
        """Return the view of `code`; `frozen_lines` count from 1, as in `source.frozen_lines`."""
        lines = tuple(_rows(code))
        frozen = frozenset(line - 1 for line in frozen_lines)
        shown = tuple(i for i in range(len(lines)) if not (hide_frozen and i in frozen))
        return cls(lines, shown, frozen)

    def text(self) -> str:
        """Return the shown lines, one per row, each ended by a newline."""
        return "".join(f"{self.lines[i]}\n" for i in self.shown)

    def joined(self, position: int) -> bool:
        """Return whether shown line `position` directly follows shown line `position - 1`."""
        return position > 0 and self.shown[position] == self.shown[position - 1] + 1


def compact_delta(view: Excerpt, after: str) -> str:
    """Return the compact delta that turns the viewed baseline into `after`.

    Raises UnplacedHunkError when a change touches hidden lines or has no shown line before it.
    """
    old, new = list(view.lines), _rows(after)
    place = {line: position for position, line in enumerate(view.shown)}
    rows: list[str] = []
    cursor = 0  # position in the view at which the next hunk may start
    for group in _groups(old, new):
        first, last = group[0][1], group[-1][2]
        body = _body(group, old, new)
        start = first
        if body[0].startswith("+"):
            start = _anchor(view, first - 1, cursor)
            body[:0] = [f" {line}" for line in old[max(start, 0) : first]]
        if start < 0 or any(line not in place for line in range(start, last)):
            raise UnplacedHunkError("a change stands beside lines that the prompt does not show")
        block = [row[1:] for row in body if row[0] != "+"]
        while _find(view, block, cursor) != place[start]:
            start -= 1
            if start not in place or place[start] < cursor:
                raise UnplacedHunkError("no leading context makes a hunk unique")
            body.insert(0, f" {old[start]}")
            block.insert(0, old[start])
        cursor = place[start] + len(block)
        rows += [HUNK, *body]
    return "".join(f"{row}\n" for row in rows)


def _anchor(view: Excerpt, line: int, cursor: int) -> int:
    """Return the line to start the context of an insertion at: `line` or one close above it.

    The nearest that stands nowhere else after the hunk above tells where the insertion goes, and
    often the width there; where none is, `line` itself.
    """
    left = Counter(view.lines[i] for i in view.shown[cursor:])
    for start in range(line, line - ANCHOR - 1, -1):
        if start not in view.shown[cursor:]:
            break
        if left[view.lines[start]] == 1:
            return start
    return line


def number_hunks(view: Excerpt, compact: str) -> str:
    """Return the unified diff, with file names and `@@` numbers, that a compact delta stands for.

    Every hunk is placed at the first fit at or after the end of the hunk before it, as the
    grammar of locked decoding reads it. Raises UnplacedHunkError when one has none.
    """
    out = [*_NAMES]
    cursor = shift = 0
    for body in _split(compact):
        block = [row[1:] for row in body if not row.startswith("+")]
        position = _find(view, block, cursor)
        if position is None or not block:
            raise UnplacedHunkError(
                f"no lines at or after shown line {cursor + 1} equal {block[:1]}"
            )
        cursor = position + len(block)
        added = sum(row.startswith("+") for row in body) - sum(row.startswith("-") for row in body)
        start = view.shown[position] + 1
        size = len(block) + added
        out.append(f"@@ -{start},{len(block)} +{start + shift - (size == 0)},{size} @@")
        out += body
        shift += added
    return "".join(f"{row}\n" for row in out)


def bare_hunks(numbered: str) -> str:
    """Return the compact delta that `number_hunks` has numbered; other texts come back as such."""
    bare = numbered.removeprefix("".join(f"{row}\n" for row in _NAMES))
    if bare == numbered:
        return numbered
    return "".join(f"{HUNK if row.startswith(HUNK) else row}\n" for row in _rows(bare))


def _rows(text: str) -> list[str]:
    """Return the lines of a text; only a newline ends one, unlike with `str.splitlines`."""
    return text.removesuffix("\n").split("\n")


def _split(compact: str) -> list[list[str]]:
    hunks: list[list[str]] = []
    for row in _rows(compact):
        if row.startswith(HUNK):
            hunks.append([])
        elif hunks:
            hunks[-1].append(row)
    return hunks


def _find(view: Excerpt, block: Sequence[str], cursor: int) -> int | None:
    """Return the first position >= cursor at which the block stands without a gap, or None."""
    for position in range(cursor, len(view.shown) - len(block) + 1):
        if all(
            view.lines[view.shown[position + i]] == line and (i == 0 or view.joined(position + i))
            for i, line in enumerate(block)
        ):
            return position
    return None


Opcode = tuple[str, int, int, int, int]


def _groups(old: list[str], new: list[str]) -> list[list[Opcode]]:
    """Return runs of changes that share a hunk, with the short equal stretches between them."""
    groups: list[list[Opcode]] = []
    open_group = False
    for code in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        tag, i1, i2, _, _ = code
        if tag != "equal":
            if open_group:
                groups[-1].append(code)
            else:
                groups.append([code])
            open_group = True
        elif open_group and i2 - i1 <= MERGE_GAP:
            groups[-1].append(code)
        else:
            open_group = False
    return [group[:-1] if group[-1][0] == "equal" else group for group in groups]


def _body(group: list[Opcode], old: list[str], new: list[str]) -> list[str]:
    rows: list[str] = []
    for tag, i1, i2, j1, j2 in group:
        if tag == "equal":
            rows += [f" {line}" for line in old[i1:i2]]
        else:
            rows += [f"-{line}" for line in old[i1:i2]]
            rows += [f"+{line}" for line in new[j1:j2]]
    return rows
