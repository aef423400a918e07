"""From a reply to the edited source: find the delta, place every hunk by its lines, apply it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import unidiff

from deltanas.records import Verdict
from deltanas.source import fingerprint

_TAGGED = re.compile(r"<delta>\s*?\n(.*?)(?:</delta>|\Z)", re.DOTALL)
_FENCED = re.compile(r"^```(?:diff|patch|udiff)?[ \t]*\n(.*?)(?:^```|\Z)", re.DOTALL | re.MULTILINE)
_HEADER = re.compile(r"^@@(?: -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@.*)?[ \t]*$")
_FILE_HEADER = re.compile(r"^(?:--- |\+\+\+ |diff |index )")


class DeltaError(ValueError):
    """A delta that cannot be applied; `verdict` says which way, the message what to change."""

    def __init__(self, verdict: Verdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class _Hunk:
    """One hunk as written: its rows with their marks, and the old line that its header names."""

    rows: tuple[str, ...]
    named: int | None  # line of the baseline, from 1; None: the header names none

    @property
    def old(self) -> list[str]:
        return [row[1:] for row in self.rows if row[0] != "+"]

    @property
    def new(self) -> list[str]:
        return [row[1:] for row in self.rows if row[0] != "-"]


def extract_delta(reply: str) -> str:
    """Return the delta in a reply: inside <delta> tags, a code fence, or as the reply itself.

    Raises DeltaError with verdict `no_delta` where no line starts a hunk.
    """
    for pattern in (_TAGGED, _FENCED):
        blocks = [block for block in pattern.findall(reply) if _starts(block)]
        if blocks:
            return _trim(str(blocks[-1]))
    if not _starts(reply):
        raise DeltaError(Verdict.NO_DELTA, "the reply has no line that starts with @@")
    return _trim(reply)


def apply_delta(source: str, delta: str) -> str:
    """Apply every hunk of a unified diff to `source`, all or none, and return the edited source.

    Context and removed lines must equal lines of the source, trailing white space apart. The counts
    of `@@` headers are not believed: a hunk goes where its lines stand. Where they stand in several
    places between its neighbours, the header must name one of them.

    Raises DeltaError with a verdict: `no_delta` (no hunk), `malformed` (a row without a mark, a hunk
    without change or anchor), `misapplied` (the lines stand nowhere), `ambiguous` (several places,
    none named), `no_op` (the syntax tree stays as it was).
    """
    hunks = _parse(extract_delta(delta))
    lines = source.splitlines()
    places = _place(lines, hunks)
    edited = list(lines)
    for hunk, place in reversed(list(zip(hunks, places, strict=True))):
        edited[place : place + len(hunk.old)] = _with_source_context(hunk, lines, place)
    result = "".join(f"{line}\n" for line in edited)
    _check(source, lines, hunks, places, edited)
    if _same_tree(source, result):
        raise DeltaError(Verdict.NO_OP, "the delta leaves the network's syntax tree unchanged")
    return result


def delta_lines(delta: str) -> int:
    """Return the lines of a delta as emitted, headers included."""
    return len(delta.splitlines())


def _starts(text: str) -> bool:
    return any(line.startswith("@@") for line in text.splitlines())


def _trim(text: str) -> str:
    """Cut what stands before the first header and blank lines at the end."""
    lines = text.splitlines()
    first = next(
        i for i, line in enumerate(lines) if line.startswith("@@") or _FILE_HEADER.match(line)
    )
    return "\n".join(lines[first:]).rstrip() + "\n"


def _parse(delta: str) -> list[_Hunk]:
    hunks: list[tuple[int | None, list[str]]] = []
    for number, line in enumerate(delta.splitlines(), 1):
        if line.startswith("@@"):
            header = _HEADER.match(line)
            if header is None:
                raise DeltaError(
                    Verdict.MALFORMED, f"line {number} of the delta is no hunk header: {line!r}"
                )
            hunks.append((int(header[1]) if header[1] else None, []))
        elif not hunks:
            if not _FILE_HEADER.match(line):
                raise DeltaError(
                    Verdict.MALFORMED, f"line {number} stands before the first @@: {line!r}"
                )
        elif _FILE_HEADER.match(line) and _between_files(hunks[-1][1], line):
            continue
        elif line == "" or line[0] in " +-":
            hunks[-1][1].append(line or " ")
        elif not line.startswith("\\ No newline"):
            raise DeltaError(
                Verdict.MALFORMED,
                f"line {number} of the delta must start with a space, - or +: {line!r}",
            )
    for index, (_, rows) in enumerate(hunks, 1):
        if not any(row[0] in "+-" for row in rows):
            raise DeltaError(Verdict.MALFORMED, f"hunk {index} of {len(hunks)} changes nothing")
        if all(row[0] == "+" for row in rows):
            raise DeltaError(
                Verdict.MALFORMED,
                f"hunk {index} of {len(hunks)} holds no context or removed line to place it by",
            )
    return [_Hunk(tuple(rows), named) for named, rows in hunks]


def _between_files(rows: list[str], line: str) -> bool:
    """Tell file headers from changed lines: `--- name` may be a removed `-- name` otherwise."""
    return bool(re.match(r"^(?:--- (?:a/)?baseline\.py|\+\+\+ (?:b/)?improved\.py|diff )", line))


def _place(lines: list[str], hunks: list[_Hunk]) -> list[int]:
    """Return the index in `lines` of every hunk's first old line; hunks keep their order."""
    stripped = [line.rstrip() for line in lines]
    fits = [_fits(stripped, [line.rstrip() for line in hunk.old]) for hunk in hunks]
    for index, (hunk, found) in enumerate(zip(hunks, fits, strict=True), 1):
        if not found:
            raise DeltaError(Verdict.MISAPPLIED, _misfit(stripped, hunk, index, len(hunks)))
    places: list[int] = []
    for index, (hunk, found) in enumerate(zip(hunks, fits, strict=True)):
        start = places[-1] + len(hunks[index - 1].old) if places else 0
        end = _latest(hunks, fits, index, len(lines))
        possible = [place for place in found if start <= place <= end]
        if not possible:
            raise DeltaError(
                Verdict.MISAPPLIED,
                f"hunk {index + 1} of {len(hunks)} fits at line {found[0] + 1} only, before the"
                " end of the hunk above it; hunks must follow the order of the file",
            )
        if len(possible) > 1:
            if hunk.named is None or hunk.named - 1 not in possible:
                raise DeltaError(
                    Verdict.AMBIGUOUS,
                    f"hunk {index + 1} of {len(hunks)} fits at lines"
                    f" {', '.join(str(place + 1) for place in possible[:6])} and its header names"
                    f" {hunk.named or 'none'}",
                )
            possible = [hunk.named - 1]
        places.append(possible[0])
    return places


def _latest(hunks: list[_Hunk], fits: list[list[int]], index: int, total: int) -> int:
    """Return the last place that leaves room for the hunks after `index`."""
    end = total
    for hunk, found in reversed(list(zip(hunks[index + 1 :], fits[index + 1 :], strict=True))):
        end = max((p for p in found if p + len(hunk.old) <= end), default=-1)
    return end - len(hunks[index].old)


def _fits(lines: list[str], block: list[str]) -> list[int]:
    return [
        place
        for place in range(len(lines) - len(block) + 1)
        if lines[place : place + len(block)] == block
    ]


def _misfit(lines: list[str], hunk: _Hunk, index: int, total: int) -> str:
    """Return the sentence that names the first old line that is not in the source, if one is not."""
    for line in (line.rstrip() for line in hunk.old):
        if line not in lines:
            close = difflib.get_close_matches(line, lines, n=1, cutoff=0.0)
            closest = f", closest is {close[0]!r}" if close else ""
            return f"hunk {index} of {total}: no line of the baseline equals {line!r}{closest}"
    return f"hunk {index} of {total}: its lines stand in the baseline, but not one after another"


def _with_source_context(hunk: _Hunk, lines: list[str], place: int) -> list[str]:
    """Return the new lines of a hunk, context as the source has it."""
    new, at = [], place
    for row in hunk.rows:
        if row[0] == "+":
            new.append(row[1:])
        else:
            if row[0] == " ":
                new.append(lines[at])
            at += 1
    return new


def _check(
    source: str, lines: list[str], hunks: list[_Hunk], places: list[int], edited: list[str]
) -> None:
    """Hold the result against `unidiff`'s reading of the placed hunks; a difference is our bug."""
    rows, shift = ["--- baseline.py", "+++ improved.py"], 0
    for hunk, place in zip(hunks, places, strict=True):
        old, new = len(hunk.old), len(hunk.new)
        rows.append(f"@@ -{place + 1},{old} +{place + 1 + shift - (new == 0)},{new} @@")
        rows += hunk.rows
        shift += new - old
    (patch,) = unidiff.PatchSet("\n".join(rows) + "\n")
    if len(lines) + patch.added - patch.removed != len(edited):
        raise AssertionError(f"applied {len(edited)} lines to {len(source)} characters, not the delta")


def _same_tree(source: str, result: str) -> bool:
    if source == result:
        return True
    try:
        return fingerprint(source) == fingerprint(result)
    except SyntaxError:
        return False  # the next gate says so, with the line
