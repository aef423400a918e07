"""Known edits, ways to mangle the text that describes them, and what a mangled delta may mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from deltanas.archive.builtin_archive import NETWORKS, source
from deltanas.propose.random_edit import EditError, random_edit

Mangle = Callable[[str, Random], str]

STEMS = sorted(NETWORKS)
NASTY = (
    "@@",
    "@@ -1,1 +1,1 @@",
    "--- a\n+++ b\n@@ -3 +3 @@",
    "```",
    "```diff",
    "<delta>",
    "</delta>",
    "\\ No newline at end of file",
    "class Net(nn.Module):",
    "class Net: pass",
    "'''",
    '"""',
    "'''\nclass Net:\n'''",
    "(" * 300,
    "-" * 3000,
    "+" + "not " * 500 + "x",
    "- " * 2000,
    "".join(chr(33 + i * 7 % 90) for i in range(6000)),
    "lambda: " * 150 + "0",
    "f'{" * 40,
    "x" + ".real" * 200,
    "# coding: rot13",
    "\0",
    "\ud800",
    "\x0c",
    "\r",
    "\u2028",
    "\ufeff",
    "    return self.__dict__",
    "import os",
    "𝔵 = ﬁ = 1",
    "9" * 5000,
)


@cache
def known_edit(stem: str, seed: int, context: int) -> tuple[str, str, str]:
    """Return a built-in network, a delta with this many lines of context, and what it gives."""
    before = source(stem)
    for attempt in range(100):
        try:
            after = random_edit(before, Random(f"{seed}/{attempt}"))
        except EditError:
            continue
        texts = [text.splitlines(keepends=True) for text in (before, after)]
        delta = difflib.unified_diff(*texts, "baseline.py", "improved.py", n=context)
        return before, "".join(delta), after
    raise AssertionError(f"no edit of {stem} was found")


def fence(delta: str, rng: Random) -> str:
    """Return the delta in a code fence."""
    return f"I change it.\n```{rng.choice(('', 'diff', 'patch'))}\n{delta}```\nDone."


def tag(delta: str, rng: Random) -> str:
    """Return the delta in tags, of which the second may be missing."""
    end = rng.choice(("</delta>", "", "</delta>\nThat is all.\n"))
    return f"{rng.choice(('', 'Here: '))}<delta>\n{delta}{end}"


def _carriage_returns(delta: str, rng: Random) -> str:
    return delta.replace("\n", "\r\n")


def _counts(delta: str, rng: Random) -> str:
    """Change every number of the headers but the line that a hunk starts at."""
    return re.sub(
        r"^@@ -(\d+).*@@",
        lambda m: f"@@ -{m[1]},{rng.randrange(99)} +{rng.randrange(99)},{rng.randrange(99)} @@",
        delta,
        flags=re.MULTILINE,
    )


def _trailing_blanks(delta: str, rng: Random) -> str:
    return "".join(
        f"{line}{' ' * rng.randrange(3) if line[:1] in (' ', '-') and line[:3] != '---' else ''}\n"
        for line in delta.splitlines()
    )


def _section(delta: str, rng: Random) -> str:
    return re.sub(r"^(@@ .* @@)$", r"\1 class Net(nn.Module):", delta, flags=re.MULTILINE)


def _git_header(delta: str, rng: Random) -> str:
    return f"diff --git a/baseline.py b/baseline.py\nindex 01ab..23cd 100644\n{delta}"


def _no_file_header(delta: str, rng: Random) -> str:
    return delta[delta.index("@@") :]


def _no_newline(delta: str, rng: Random) -> str:
    return f"{delta}\\ No newline at end of file\n"


KEEPING: tuple[tuple[Mangle, ...], ...] = (  # one of each row at most, in this order
    (_counts,),
    (_trailing_blanks,),
    (_section,),
    (_no_newline,),
    (_git_header, _no_file_header),
    (fence, tag),
    (_carriage_returns,),
)


def keep(delta: str, rng: Random) -> str:
    """Return another text of the same delta."""
    for row in KEEPING:
        if rng.random() < 0.4:
            delta = rng.choice(row)(delta, rng)
    return delta


def mutilate(text: str, rng: Random, times: int) -> str:
    """Return a text with hunks, lines or characters lost, moved, doubled, changed or added."""
    if rng.random() < 0.3:
        head, *hunks = re.split(r"^(?=@@)", text, flags=re.MULTILINE)
        hunks += rng.choices(hunks, k=rng.randrange(2)) if hunks else []
        rng.shuffle(hunks)
        text = "".join((head, *hunks))
    if rng.random() < 0.3:
        shift = rng.randrange(-20, 20)
        text = re.sub(r"(?<=^@@ -)\d+", lambda m: str(abs(int(m[0]) + shift)), text, flags=re.M)
    for _ in range(times):
        lines = text.split("\n")
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(10):
            case 0:
                del lines[at]
            case 1:
                lines.insert(other, lines[at])
            case 2:
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = rng.choice(" +-@\\#") + lines[at][1:]
            case 4:
                del lines[at:]
            case 5:
                lines.insert(at, rng.choice((" ", "+", "-", "", "@@ ")) + rng.choice(NASTY))
            case 6:
                lines[at] = re.sub(r"\d+", lambda m: str(rng.randrange(200)), lines[at])
            case 7:
                lines[at] = lines[at].strip() if rng.random() < 0.5 else f"{lines[at]}  "
            case 8:
                cut = rng.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:cut] + rng.choice(NASTY) + lines[at][cut:]
            case _:
                cut = rng.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:cut] + lines[at][cut + 1 :]
        text = "\n".join(lines)
    return text


@dataclass
class _Hunk:
    """A hunk as one reading of a delta has it."""

    header: str
    rows: list[str]
    file: int  # how many headers of files stand above it


def readings(source: str, delta: str) -> Iterator[str]:
    """Yield every file that a delta may stand for: this is what "a valid delta" means here.

    Its hunks are the lines below each `@@`, headers of files apart; the lines without a mark or
    with a space or minus must stand in the source one after another, trailing blanks apart, at a
    place that is the only one or that the header names, below the hunk before. Where they do not,
    blank lines are nothing. A file that is there twice counts once.
    """
    for dropped in (True, False):  # `--- x` above a hunk is a header or the removal of `-- x`
        hunks = _hunks(delta, dropped)
        files = [[(h.header, h.rows) for h in hunks if h.file == k] for k in range(len(hunks) + 1)]
        once = [hunk for hunk in hunks if files.index(files[hunk.file]) == hunk.file]
        for part in (hunks, once):
            result = _applied(source.split("\n")[:-1], part)
            if result is not None:
                text = "".join(f"{line}\n" for line in result)
                yield text
                yield text[:-1]  # a mark may say that the last line ends so


def _hunks(delta: str, headers: bool) -> list[_Hunk]:
    rows = delta.replace("\r\n", "\n").removesuffix("\n").split("\n")
    filled = [i for i, row in enumerate(rows) if row.strip()]
    named = {
        k
        for i, j, m in zip(filled, filled[1:], filled[2:], strict=False)
        for k in (i, j)
        if rows[i][:4] == "--- " and rows[j][:4] == "+++ " and rows[m][:2] == "@@"
    }
    hunks: list[_Hunk] = []
    for i, row in enumerate(rows):
        if row.startswith("@@"):
            file = sum(k < i for k in named) // 2
            hunks.append(_Hunk(row, [], file))
        elif row.startswith(("diff ", "index ", "old mode ", "new mode ", "\\")):
            continue
        elif hunks and not (headers and i in named):
            hunks[-1].rows.append(row if row[:1] in (" ", "+", "-") else row.strip())
    for hunk in hunks:
        while hunk.rows and not hunk.rows[-1]:
            hunk.rows.pop()
    return hunks


def _applied(lines: list[str], hunks: list[_Hunk]) -> list[str] | None:
    """Return the lines after all hunks, or None where one has no place."""
    stripped, result, end = [line.rstrip() for line in lines], [], 0
    for hunk in hunks:
        fits = []
        for rows in (hunk.rows, [row for row in hunk.rows if row[:1] == "+" or row.strip()]):
            old = [row[1:].rstrip() for row in rows if row[:1] != "+"]
            fits = [i for i in range(len(lines)) if old and stripped[i : i + len(old)] == old]
            if fits:
                break
        number = re.match(r"@@ -(\d+)", hunk.header)
        if number and int(number[1]) - 1 in fits:
            fits = [int(number[1]) - 1]
        elif len(fits) > 1 and "class Net" in hunk.header:
            fits = [i for i in fits if _meets_net(lines, range(i, i + len(old)))]
        if len(fits) != 1 or fits[0] < end:
            return None
        result += lines[end : fits[0]]
        end = fits[0]
        for row in rows:
            if row[:1] == "+":
                result.append(row[1:])
            else:
                result += [] if row[:1] == "-" else [lines[end]]
                end += 1
    return [*result, *lines[end:]]


def _meets_net(lines: list[str], span: range) -> bool:
    begin = next(i for i, line in enumerate(lines) if line.startswith("class Net"))
    inside = [line.startswith(" ") for line in lines[begin + 1 :]]
    stop = begin + 1 + (inside.index(False) if False in inside else len(inside))
    return span.start < stop and begin < span.stop
