"""Where the hunks of a delta stand in the baseline: by their lines, and only then by a header."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unidiff.patch import Hunk, Line

from deltanas.records import Verdict
from deltanas.screen.hunks import DeltaError

_DEFINED = re.compile(r"\b(?:class|def)\s+([A-Za-z_]\w*)")
_DOTTED = re.compile(r"([A-Za-z_][\w.]*)(?:\(.*\))?:?")


@dataclass(frozen=True, slots=True)
class Place:
    """A hunk and the lines of the baseline that it stands for, counted from 0."""

    start: int
    stop: int  # after the last one
    rows: tuple[Line, ...]


def place_hunks(source: Sequence[str], hunks: Sequence[Hunk]) -> list[Place]:
    """Return the place of every hunk, in order.

    Context and removed lines must equal lines of the source, white space at their ends apart;
    where they do so nowhere, blank context lines are left out. Where they stand in several
    places, the line that the header names decides, or else the class or function that it names;
    a header with such a name and no line never takes a place outside of it.

    Raises DeltaError with `misapplied` (lines that stand nowhere, hunks that overlap or are out
    of order) or `ambiguous` (several places and none named).
    """
    lines = [line.rstrip() for line in source]
    places: list[Place] = []
    for number, hunk in enumerate(hunks, 1):
        label = f"hunk {number} of {len(hunks)}"
        rows = tuple(hunk)
        fits = _fits(lines, rows)
        if not fits:
            misfit = DeltaError(Verdict.MISAPPLIED, f"{label}: {_misfit(lines, _old(rows))}")
            rows = tuple(row for row in rows if not row.is_context or row.value.strip())
            fits = _fits(lines, rows) if _old(rows) else []
            if not fits:
                raise misfit
        size = len(_old(rows))
        start = _choose(source, [range(fit, fit + size) for fit in fits], hunk, label)
        places.append(Place(start, start + size, rows))
        _check_order(label, places)
    return places


def _old(rows: Sequence[Line]) -> list[str]:
    """Return the lines that the baseline must hold, without white space at their ends."""
    return [row.value.rstrip() for row in rows if row.is_context or row.is_removed]


def _fits(lines: Sequence[str], rows: Sequence[Line]) -> list[int]:
    old = _old(rows)
    return [i for i in range(len(lines) - len(old) + 1) if lines[i : i + len(old)] == old]


def _choose(source: Sequence[str], fits: Sequence[range], hunk: Hunk, label: str) -> int:
    """Return where the one of several fits starts that the header of a hunk names."""
    starts = [fit.start for fit in fits]
    line, words = hunk.source_start - 1, hunk.section_header
    if line in starts:
        return line
    if words and (line < 0 or len(fits) > 1) and (scopes := _definitions(source, words)):
        inside = [
            fit.start
            for fit in fits
            if any(fit.start < scope.stop and scope.start < fit.stop for scope in scopes)
        ]
        if not inside and line < 0:
            raise DeltaError(
                Verdict.MISAPPLIED,
                f"{label} fits the baseline at {_each(starts)}, not in {words!r} that its header"
                " names",
            )
        starts = inside or starts
    if len(starts) > 1:
        named = f"line {line + 1}" if line >= 0 else repr(words) if words else "no line"
        raise DeltaError(
            Verdict.AMBIGUOUS,
            f"{label} fits the baseline at {_each(starts)}, and its header names {named}",
        )
    return starts[0]


def _definitions(source: Sequence[str], words: str) -> list[range]:
    """Return the lines, from 0, of each class and function that words name: `Net.forward`."""
    names = _DEFINED.findall(words)
    if not names and (dotted := _DOTTED.fullmatch(words)):
        names = dotted[1].split(".")
    try:
        tree = ast.parse("".join(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [lines for path, lines in _scopes(tree, []) if names and path[-len(names) :] == names]


def _scopes(node: ast.AST, path: list[str]) -> Iterator[tuple[list[str], range]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [*path, child.name]
            yield inner, range(child.lineno - 1, child.end_lineno or child.lineno)
            yield from _scopes(child, inner)


def _each(starts: Sequence[int]) -> str:
    shown = ", ".join(str(start + 1) for start in starts[:6])
    return f"line{'s' * (len(starts) > 1)} {shown}{' and more' * (len(starts) > 6)}"


def _lines(place: Place) -> str:
    last = f" to {place.stop}" * (place.stop > place.start + 1)
    return f"line{'s' * bool(last)} {place.start + 1}{last}"


def _check_order(label: str, places: Sequence[Place]) -> None:
    """Raise DeltaError where the last place does not come after the others."""
    *above, place = places
    for other in above:
        if other.start < place.stop and place.start < other.stop:
            raise DeltaError(
                Verdict.MISAPPLIED,
                f"{label} stands at {_lines(place)} of the baseline and overlaps a hunk before it,"
                f" which stands at {_lines(other)}; make them one hunk",
            )
    if above and place.start < above[-1].stop:
        raise DeltaError(
            Verdict.MISAPPLIED,
            f"{label} stands at line {place.start + 1} of the baseline, but the hunk before it"
            f" ends at line {above[-1].stop}; hunks must follow the order of the file",
        )


def _misfit(lines: Sequence[str], old: Sequence[str]) -> str:
    """Return the sentence that names the first old line that the source lacks, if it lacks one."""
    for line in old:
        if line not in lines:
            close = difflib.get_close_matches(line, lines, n=1, cutoff=0.0)
            closest = f", closest is {close[0]!r}" if close else ""
            return f"no line of the baseline equals {line!r}{closest}"
    return "its lines stand in the baseline, but not one directly after another"
