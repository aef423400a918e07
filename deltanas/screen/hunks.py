"""The hunks of a delta: made plain for unidiff, which parses them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unidiff.patch import Hunk, PatchSet

from deltanas.records import Verdict

_FILE_NAMES = ("--- baseline.py", "+++ improved.py")
_NO_NEWLINE = "\\ No newline at end of file"  # any line that starts with \ stands for it
GIT_HEADER = re.compile(r"diff |index [0-9a-f]+\.\.|(?:old|new) mode ")
_LINE = re.compile(r"@+\s*-([0-9]{1,9})\b")
_RANGE = re.compile(r"[-+]\S*|[0-9.,…]+")  # no word: numbers, their placeholders -X,Y, and dots


class DeltaError(ValueError):
    """A delta that cannot be applied; `verdict` says which way, the message what to change."""

    def __init__(self, verdict: Verdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


def read_hunks(delta: str, source: Sequence[str]) -> list[Hunk]:
    """Return the hunks of a delta in its order; a file that it names twice alike counts once.

    `source_start` is the line of the baseline that a header names, or 0, and `section_header` the
    words in it; every other number is the true one. `source` tells a removed line `-- x` from the
    name of a file. Raises DeltaError with `malformed` (a line without a mark, an empty hunk) or
    `ambiguous` (a hunk of added lines only, where the source has lines).
    """
    files = PatchSet(_plain(delta.removesuffix("\n").split("\n"), source))
    return [hunk for file in {str(file): file for file in files}.values() for hunk in file]


def _plain(lines: Sequence[str], source: Sequence[str]) -> str:
    """Return the delta with a mark on every line and headers that unidiff believes."""
    names = file_names(lines, source)
    hunks: list[tuple[bool, str, list[str]]] = []  # whether names stand above, header, rows
    rows: list[str] = []
    named = False
    for i, line in enumerate(lines):
        if line.startswith("@@"):
            rows = []
            hunks.append((named or not hunks, line, rows))
            named = False
        elif i in names:
            named = True
        elif not hunks or GIT_HEADER.match(line):
            continue
        elif line.startswith("\\"):
            if rows and rows[-1].startswith("+"):  # of other rows the source knows how they end
                rows.append(_NO_NEWLINE)
        elif line.startswith((" ", "+", "-")):
            rows.append(line)
        elif not line.strip():
            rows.append("")
        else:
            raise DeltaError(
                Verdict.MALFORMED,
                f"line {i + 1} of the delta must start with a space, - or +: {line!r}",
            )
    parts: list[str] = []
    for number, (opens, header, written) in enumerate(hunks, 1):
        parts += _FILE_NAMES if opens else ()
        parts += _hunk(f"hunk {number} of {len(hunks)}", header, written, anchored=bool(source))
    return "".join(f"{part}\n" for part in parts)


def file_names(lines: Sequence[str], source: Sequence[str] = ()) -> set[int]:
    """Return where lines `--- x` and `+++ x` name files: above a hunk, blank lines apart."""
    known = {line.rstrip() for line in source}
    filled = [i for i, line in enumerate(lines) if line.strip()]
    found: set[int] = set()
    for one, two, three in zip(filled, filled[1:], filled[2:], strict=False):
        marks = (lines[one][:4], lines[two][:4], lines[three][:2])
        if marks == ("--- ", "+++ ", "@@") and lines[one][1:].rstrip() not in known:
            found |= {one, two}
    return found


def _hunk(label: str, header: str, rows: list[str], *, anchored: bool) -> list[str]:
    """Return header and rows of one hunk as unidiff reads them."""
    while rows and not rows[-1]:  # an empty line before the next header belongs to no hunk
        rows.pop()
    # inside a hunk an empty line is a blank context line that lost its mark
    marked = [row or " " for row in rows]
    old = sum(row[0] in " -" for row in marked)
    new = sum(row[0] in " +" for row in marked)
    if not marked:
        raise DeltaError(Verdict.MALFORMED, f"{label} holds no lines")
    if anchored and not old:
        raise DeltaError(
            Verdict.AMBIGUOUS, f"{label} holds no context or removed line to place it by"
        )
    line = _LINE.match(header)
    words = " ".join(
        word
        for word in (part.strip("@") for part in header.split())
        if word and not _RANGE.fullmatch(word)
    )
    return [f"@@ -{int(line[1]) if line else 0},{old} +0,{new} @@ {words}".rstrip(), *marked]
