"""Where the answer stands in a reply: after thinking, between tags, in a code fence, or bare."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_THINKING = r"(?:seed:)?(?:think(?:ing)?|thought)"
_THOUGHT = re.compile(rf"</{_THINKING}>|\[/THINK\]", re.IGNORECASE)
_THINKS = re.compile(rf"<{_THINKING}>|\[THINK\]", re.IGNORECASE)
_RETURNS = re.compile(r"(?<!\r)\r+(?=\n|\Z)")
_BYTE_ORDER_MARK = re.compile("^\ufeff+", re.MULTILINE)
# CommonMark 4.5: three marks or more behind any list markers and quotes; no ` in what follows `
_OPENING = re.compile(
    r"(?P<lead>(?:[ \t>]|(?:[-*+]|[0-9]{1,9}[.)])[ \t])*)"
    r"(?P<marks>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)"
)
_INDENTED = 4  # columns from which on CommonMark sees no fence
_DEEPEST = 3  # fences inside each other that are looked into


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a reply that holds an answer."""

    text: str
    enclosed: bool  # an opening tag or fence says where it starts; otherwise prose may come first


@dataclass(frozen=True, slots=True)
class _Fence:
    first: int  # index of the opening line
    end: int  # index after the closing line
    column: int  # characters before the opening marks, from the last quote mark on
    text: str  # the lines between, without the indentation of the fence


def answer_blocks(reply: str, tag: str, start: re.Pattern[str]) -> list[Block]:
    """Return every part of a reply that holds a match of `start`, read as follows.

    Nothing counts before the last mark that closes thinking, nor after one that opens it. Of the
    rest, what stands between `<tag>` and `</tag>` counts and not what comes before it, match or
    not; where there is a match, one of the two tags is enough. What comes after it counts too, as
    it may be a second thought. In all of that, code fences count, and bare text beside them.
    Several blocks mean that the reply leaves its answer open.
    """
    text = _spoken(reply)
    answered, found = False, []
    for piece, opened, closed in _pieces(text, tag):
        inside = _inside(Block(piece, opened), start)
        # a sentence that names the tags has no lines between them
        if (opened or closed) and (inside or (opened and closed and "\n" in piece.strip())):
            answered = True
            found += inside
        elif answered:
            found += inside
    return found if answered else _inside(Block(text, False), start)


def _spoken(reply: str) -> str:
    """Return the reply without its thinking, line ends and byte order marks made plain."""
    text = _THOUGHT.split(_RETURNS.sub("", reply))[-1]
    text = _THINKS.split(text, maxsplit=1)[0]
    return _BYTE_ORDER_MARK.sub("", text)


def _pieces(text: str, tag: str) -> Iterator[tuple[str, bool, bool]]:
    """Yield the text between tags: whether an opening one stands before, a closing one after."""
    pattern = re.compile(
        rf"(?P<em>(?<!\S)(?:\*{{1,3}}|_{{1,3}}|`))?"
        rf"<[ \t]*(?P<closing>/?)[ \t]*{tag}[ \t]*>(?(em)(?P=em)?)",
        re.IGNORECASE,
    )
    begin, opened = 0, False
    for mark in pattern.finditer(text):
        closed = bool(mark["closing"])
        # words before an opening tag introduce it, and are none of an answer still open above
        end = mark.start() if closed else text.rfind("\n", begin, mark.start()) + 1
        yield text[begin:end].lstrip(" \t"), opened, closed
        begin, opened = mark.end(), not closed
    yield text[begin:].lstrip(" \t"), opened, False


def _inside(block: Block, start: re.Pattern[str], depth: int = 0) -> list[Block]:
    """Return the fences of a block that hold a match, and its bare text where that holds one."""
    if depth == _DEEPEST:
        return [block]
    lines = block.text.split("\n")
    fences = list(_fences(lines))
    holding = [fence for fence in fences if start.search(fence.text)]
    found = [inner for f in holding for inner in _inside(Block(f.text, True), start, depth + 1)]
    # a fence at the margin is no line of a bare answer: its rows have marks, its strings indents
    others = holding or [fence for fence in fences if not fence.column]
    bare = "\n".join(_without(lines, others)).lstrip()
    if start.search(bare):
        found.append(Block(bare, block.enclosed and not holding))
    return found


def _without(lines: Sequence[str], fences: Sequence[_Fence]) -> list[str]:
    fenced = {i for fence in fences for i in range(fence.first, fence.end)}
    return [line for i, line in enumerate(lines) if i not in fenced]


def _fences(lines: Sequence[str]) -> Iterator[_Fence]:
    """Yield the code fences of CommonMark, and those whose closing marks end their last line.

    The indentation that all lines share, as far as the fence has it, is taken off.
    """
    at = 0
    while at < len(lines):
        opening = _OPENING.match(lines[at])
        if opening is None:
            at += 1
            continue
        *quotes, inner = opening["lead"].split(">")
        column = len(inner.removeprefix(" ") if quotes else inner)
        body, end = _body(lines, at + 1, opening["marks"], column, len(quotes))
        shared = os.path.commonprefix([line[: _indent(line)] for line in body if line.strip()])
        margin = len(shared[:column])
        yield _Fence(at, end, column, "".join(f"{line[margin:]}\n" for line in body))
        at = end


def _body(
    lines: Sequence[str], begin: int, marks: str, column: int, quotes: int
) -> tuple[list[str], int]:
    """Return the lines inside a fence and the index after it.

    Marks at the end of a line close it where no line of marks does before another fence opens.
    """
    closing = re.compile(rf"(?P<last>[^{marks[0]}]*){marks[0]}{{{len(marks)},}}[ \t]*")
    quote = re.compile(rf"(?:[ \t]*>[ ]?){{{quotes}}}")
    body: list[str] = []
    glued: tuple[list[str], int] | None = None
    for at in range(begin, len(lines)):
        prefix = quote.match(lines[at])
        if prefix is None:
            return glued or (body, at)
        line = lines[at][prefix.end() :]
        closed = closing.fullmatch(line)
        if closed and not closed["last"].strip():
            if len(closed["last"]) < column + _INDENTED:
                return body, at + 1
        elif closed and glued is None:
            glued = [*body, closed["last"].rstrip()], at + 1
        elif glued and (other := _OPENING.match(line)) and other["info"].strip():
            return glued
        body.append(line)
    return glued or (body, len(lines))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
