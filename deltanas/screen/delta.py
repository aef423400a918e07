"""From a reply to the edited source: find the delta, apply it, and write it as other tools do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from io import StringIO

from unidiff.patch import Line

from deltanas.records import Verdict
from deltanas.screen.hunks import GIT_HEADER, DeltaError, file_names, read_hunks
from deltanas.screen.placing import place_hunks
from deltanas.screen.reply import answer_blocks
from deltanas.source import fingerprint

__all__ = ["DeltaError", "apply_delta", "canonical_delta", "extract_delta"]

_HUNK = re.compile("^@@", re.MULTILINE)


def extract_delta(reply: str) -> str:
    """Return the delta in a reply: after any thinking, between <delta> tags, in a fence, or bare.

    Raises DeltaError: `no_delta` when no line starts a hunk, `malformed` when the reply holds
    several deltas that differ or one with rows above its first @@, as edits would be dropped.
    """
    blocks = {
        _edits(block.text): block for block in reversed(answer_blocks(reply, "delta", _HUNK))
    }
    if not blocks:
        raise DeltaError(Verdict.NO_DELTA, "the reply has no line that starts with @@")
    if len(blocks) > 1:
        raise DeltaError(
            Verdict.MALFORMED, f"the reply holds {len(blocks)} deltas; it must hold one"
        )
    (block,) = blocks.values()
    lines = block.text.split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith("@@"))
    first = min(file_names(lines) | {first})
    if block.enclosed:
        for i, line in enumerate(lines[:first]):
            if line.strip() and not GIT_HEADER.match(line):
                raise DeltaError(
                    Verdict.MALFORMED,
                    f"line {i + 1} of the delta stands before the first @@: {line!r}",
                )
        first = 0
    return "\n".join(lines[first:]).strip("\n") + "\n"  # of a bare one, prose may stand above


def apply_delta(source: str, delta: str) -> str:
    """Apply every hunk of a unified diff to `source`, all or none, and return the edited source.

    The counts in `@@` headers are not believed: a hunk goes where its lines stand, as
    `place_hunks` says. White space at the ends of lines is no difference, the source's stays.
    A last line ends without a newline where the source or the delta says so.

    Raises DeltaError with a verdict: `no_delta` (no hunk), `malformed` (a line without a mark, an
    empty hunk), `misapplied` (lines that stand nowhere, hunks that overlap or are out of order),
    `ambiguous` (several places and none named, or nothing but added lines), `no_op` (the syntax
    tree stays as it was).
    """
    lines = list(StringIO(source.replace("\r\n", "\n")))
    edited = list(lines)
    for place in reversed(place_hunks(lines, read_hunks(extract_delta(delta), lines))):
        edited[place.start : place.stop] = _after(lines[place.start : place.stop], place.rows)
    *others, last = edited or [""]
    result = "".join(f"{line.removesuffix(chr(10))}\n" for line in others) + last
    if lines == edited or _same_tree(source, result):
        raise DeltaError(
            Verdict.NO_OP, "the delta leaves the syntax tree of the network as it was"
        )
    return result


def canonical_delta(source: str, code: str) -> str:
    """Return the unified diff from `source` to `code` that git, patch and `apply_delta` apply.

    Three lines of context, names that `-p1` strips, true numbers, and the mark of a last line
    without a newline. Empty where the texts are equal.
    """
    rows = difflib.unified_diff(
        list(StringIO(source)), list(StringIO(code)), "a/baseline.py", "b/baseline.py"
    )
    return "".join(
        row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in rows
    )


def _edits(text: str) -> str:
    """Return what two texts of the same delta share: all from the first hunk on."""
    found = _HUNK.search(text)
    edits = text[found.start() if found else 0 :].rstrip()
    return "\n".join(line.rstrip() for line in edits.split("\n"))


def _after(old: Sequence[str], rows: Sequence[Line]) -> list[str]:
    """Return the lines that a hunk leaves where the source has `old`."""
    result: list[str] = []
    waiting = iter(old)
    for row in rows:
        if row.is_added:
            result.append(row.value)
        elif row.is_context:
            result.append(next(waiting))
        elif row.is_removed:
            next(waiting)
        else:  # the line above ends without a newline
            result[-1] = result[-1].removesuffix("\n")
    return result


def _same_tree(source: str, result: str) -> bool:
    try:
        return fingerprint(source) == fingerprint(result)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # it does not parse: the next gate says so, with the line
