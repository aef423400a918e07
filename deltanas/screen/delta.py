"""From a reply to the edited source: find the delta, place every hunk by its lines, apply it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from unidiff.patch import PatchSet

from deltanas.records import Verdict
from deltanas.source import fingerprint

_TAGGED = re.compile(
    r"^(?:[^\s+-][^\n]*)?<delta>[ \t]*\n(.*?)(?:</delta>|\Z)", re.MULTILINE | re.DOTALL
)
_FENCED = re.compile(r"^```[\w+-]*[ \t]*\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)
_HUNK = re.compile(r"^@@(?: -(?P<old>\d+)(?:,\d+)? \+\d+(?:,\d+)? @@.*| (?:\.\.\. )?@@.*)?[ \t]*$")
_GIT_HEADER = re.compile(r"^(?:diff --git |index [0-9a-f]+\.\.)")


class DeltaError(ValueError):
    """A delta that cannot be applied; `verdict` says which way, the message what to change."""

    def __init__(self, verdict: Verdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class _Hunk:
    """One hunk as written."""

    label: str  # "hunk 2 of 3"
    named: int | None  # the line of the baseline, from 1, that its header names; None: no line
    rows: tuple[str, ...]  # context, removed and added lines behind their marks

    @property
    def old(self) -> list[str]:
        """Return the lines that the baseline must hold, without white space at their ends."""
        return [row[1:].rstrip() for row in self.rows if row[0] != "+"]


def extract_delta(reply: str) -> str:
    """Return the delta in a reply: inside <delta> tags, in a code fence, or as the reply itself.

    Raises DeltaError: `no_delta` when no line starts a hunk, `malformed` when the reply holds
    several deltas, as taking one would drop edits.
    """
    text = reply.replace("\r\n", "\n")
    enclosed = False
    for pattern in (_TAGGED, _FENCED):
        blocks = [str(block) for block in pattern.findall(text) if _starts_hunk(block)]
        if len(blocks) > 1:
            raise DeltaError(
                Verdict.MALFORMED, f"the reply holds {len(blocks)} deltas; it must hold one"
            )
        if blocks:
            text, enclosed = blocks[0], True
    lines = _lines(text)
    hunks = [i for i, line in enumerate(lines) if line.startswith("@@")]
    if not hunks:
        raise DeltaError(Verdict.NO_DELTA, "the reply has no line that starts with @@")
    first = 0 if enclosed else _first_header(lines, hunks[0])
    return "\n".join(lines[first:]).strip("\n") + "\n"


def apply_delta(source: str, delta: str) -> str:
    """Apply every hunk of a unified diff to `source`, all or none, and return the edited source.

    Context and removed lines must equal lines of the source, white space at their ends apart. The
    counts in `@@` headers are not believed: a hunk goes where its lines stand. Where they stand in
    several places, the header must name one of them. Lines of the result end with a newline each.

    Raises DeltaError with a verdict: `no_delta` (no hunk), `malformed` (a line without a mark, an
    empty hunk), `misapplied` (lines that stand nowhere, hunks out of order), `ambiguous` (several
    places and none named, or nothing but added lines), `no_op` (the syntax tree stays as it was).
    """
    lines = _lines(source.replace("\r\n", "\n"))
    hunks = _parse(_lines(extract_delta(delta)), frozenset(line.rstrip() for line in lines))
    edited = _apply(lines, _canonical(lines, hunks, _places(lines, hunks)))
    result = "".join(f"{line}\n" for line in edited)
    if lines == edited or _same_tree(source, result):
        raise DeltaError(
            Verdict.NO_OP, "the delta leaves the syntax tree of the network as it was"
        )
    return result


def _lines(text: str) -> list[str]:
    """Return the lines as a diff counts them: form feeds and their like end none."""
    return text.removesuffix("\n").split("\n") if text else []


def _starts_hunk(text: str) -> bool:
    return re.search(r"^@@", text, re.MULTILINE) is not None


def _first_header(lines: list[str], hunk: int) -> int:
    """Return where a delta in prose starts: at its `---` line, or at its first hunk."""
    return next((i for i in range(hunk) if _is_file_header(lines[i : i + 3])), hunk)


def _is_file_header(lines: list[str]) -> bool:
    return [line[:width] for line, width in zip(lines, (4, 4, 2), strict=False)] == [
        "--- ",
        "+++ ",
        "@@",
    ]


def _parse(lines: list[str], source: frozenset[str]) -> list[_Hunk]:
    """Split a delta into hunks; `source` tells a removed line `-- x` from a file header."""
    hunks: list[tuple[int | None, list[str]]] = []
    headers: set[int] = set()  # indices of `---` and `+++` lines above a hunk
    for i, line in enumerate(lines):
        if _is_file_header(lines[i : i + 3]) and line[1:].rstrip() not in source:
            headers.update((i, i + 1))
        if line.startswith("@@"):
            hunks.append((_named(line, i + 1), []))
        elif i in headers or _GIT_HEADER.match(line) or line.startswith("\\ No newline"):
            continue
        elif not hunks:
            raise DeltaError(
                Verdict.MALFORMED,
                f"line {i + 1} of the delta stands before the first @@: {line!r}",
            )
        elif line[:1] in ("", " ", "+", "-"):
            hunks[-1][1].append(line)
        else:
            raise DeltaError(
                Verdict.MALFORMED,
                f"line {i + 1} of the delta must start with a space, - or +: {line!r}",
            )
    return [
        _hunk(f"hunk {i} of {len(hunks)}", named, rows) for i, (named, rows) in enumerate(hunks, 1)
    ]


def _named(line: str, number: int) -> int | None:
    header = _HUNK.match(line)
    if header is None:
        raise DeltaError(
            Verdict.MALFORMED,
            f"line {number} of the delta is neither '@@ -a,b +c,d @@' nor '@@': {line!r}",
        )
    return int(header["old"]) if header["old"] else None


def _hunk(label: str, named: int | None, rows: list[str]) -> _Hunk:
    while rows and not rows[-1]:  # an empty line before the next header belongs to no hunk
        rows = rows[:-1]
    if not rows:
        raise DeltaError(Verdict.MALFORMED, f"{label} holds no lines")
    # inside a hunk an empty line is a blank context line that lost its mark
    hunk = _Hunk(label, named, tuple(row or " " for row in rows))
    if not hunk.old:
        raise DeltaError(
            Verdict.AMBIGUOUS, f"{label} holds no context or removed line to place it by"
        )
    return hunk


def _places(lines: list[str], hunks: list[_Hunk]) -> list[int]:
    """Return the index in `lines` of every hunk's first old line."""
    stripped = [line.rstrip() for line in lines]
    places: list[int] = []
    end = 0  # of the hunk above
    for hunk in hunks:
        place = _place(stripped, hunk)
        if place < end:
            raise DeltaError(
                Verdict.MISAPPLIED,
                f"{hunk.label} stands at line {place + 1} of the baseline, but the hunk before it"
                f" ends at line {end}; hunks must follow the order of the file",
            )
        places.append(place)
        end = place + len(hunk.old)
    return places


def _place(lines: list[str], hunk: _Hunk) -> int:
    old = hunk.old
    fits = [i for i in range(len(lines) - len(old) + 1) if lines[i : i + len(old)] == old]
    if not fits:
        raise DeltaError(Verdict.MISAPPLIED, _misfit(lines, hunk))
    if len(fits) == 1:
        return fits[0]
    if hunk.named is None or hunk.named - 1 not in fits:
        named = "no line" if hunk.named is None else f"line {hunk.named}"
        raise DeltaError(
            Verdict.AMBIGUOUS,
            f"{hunk.label} fits the baseline at lines {', '.join(str(i + 1) for i in fits[:6])}"
            f"{' and more' if len(fits) > 6 else ''}, and its header names {named}",
        )
    return hunk.named - 1


def _misfit(lines: list[str], hunk: _Hunk) -> str:
    """Return the sentence that names the first old line that the source lacks, if it lacks one."""
    for line in hunk.old:
        if line not in lines:
            close = difflib.get_close_matches(line, lines, n=1, cutoff=0.0)
            closest = f", closest is {close[0]!r}" if close else ""
            return f"{hunk.label}: no line of the baseline equals {line!r}{closest}"
    return f"{hunk.label}: its lines stand in the baseline, but not one directly after another"


def _canonical(lines: list[str], hunks: list[_Hunk], places: list[int]) -> str:
    """Return the unified diff with true numbers and the source's own context and removed lines."""
    rows, shift = ["--- baseline.py", "+++ improved.py"], 0
    for hunk, place in zip(hunks, places, strict=True):
        added = sum(row[0] == "+" for row in hunk.rows)
        size = len(hunk.rows) - sum(row[0] == "-" for row in hunk.rows)
        old = len(hunk.rows) - added
        rows.append(f"@@ -{place + 1},{old} +{place + 1 + shift - (size == 0)},{size} @@")
        at = place
        for row in hunk.rows:
            if row[0] == "+":
                rows.append(row)
            else:
                rows.append(row[0] + lines[at])
                at += 1
        shift += size - old
    return "".join(f"{row}\n" for row in rows)


def _apply(lines: list[str], canonical: str) -> list[str]:
    """Return the lines after a unified diff whose numbers are true."""
    edited = list(lines)
    (patch,) = PatchSet(canonical)
    for hunk in reversed(patch):
        start = hunk.source_start - 1
        edited[start : start + hunk.source_length] = [
            line.value.removesuffix("\n") for line in hunk if not line.is_removed
        ]
    return edited


def _same_tree(source: str, result: str) -> bool:
    try:
        return fingerprint(source) == fingerprint(result)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # it does not parse: the next gate says so, with the line
