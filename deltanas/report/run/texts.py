"""Texts of a run for its page: every line once, with the colours of its syntax.

Networks of one run share most of their lines, and a prompt holds the whole baseline.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any

LONGEST = 400  # characters of a line up to which it is coloured
KINDS = (  # letters of a mask, by the kind of token; the first that holds it counts
    ("k", "Keyword"),
    ("f", "Name.Function"),
    ("f", "Name.Class"),
    ("b", "Name.Builtin"),
    ("b", "Name.Decorator"),
    ("s", "Literal.String"),
    ("n", "Literal.Number"),
    ("k", "Operator.Word"),
    ("c", "Comment"),
)

Runs = list[int]  # start and length of every run of neighbours, after each other


class Texts:
    """Gives every different line a number, and texts as runs of such numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._masks: dict[int, str] = {}
        self._lexer: Any = None

    def add(self, text: str, *, coloured: bool = False) -> Runs:
        """Return a text as runs of lines; joined by newlines they are the text again."""
        runs: Runs = []
        for line in text.split("\n"):
            number = self._numbers.setdefault(line, len(self._numbers))
            if coloured and number not in self._masks:
                self._masks[number] = self._mask(line)
            if runs and runs[-2] + runs[-1] == number:
                runs[-1] += 1
            else:
                runs += (number, 1)
        return runs

    def packed(self) -> dict[str, Any]:
        """Return the lines and their masks: one letter of `KINDS` a character, or a space."""
        masks = [self._masks.get(number, "") for number in range(len(self._numbers))]
        return {"lines": list(self._numbers), "masks": masks}

    def _mask(self, line: str) -> str:
        """Return the colours of one line, each on its own: strings over several are not seen."""
        if not line or len(line) > LONGEST:
            return ""
        if self._lexer is None:
            from pygments.lexers import PythonLexer

            self._lexer = PythonLexer(stripnl=False, ensurenl=False)
        mask = "".join(_kind(token) * len(text) for token, text in self._lexer.get_tokens(line))
        return mask.rstrip()


def _kind(token: Any) -> str:
    name = str(token).removeprefix("Token.")
    return next((letter for letter, kind in KINDS if name.startswith(kind)), " ")


def edits(before: str, after: str) -> list[list[int]]:
    """Return what differs between two texts: lines [from, to) of one, and of the other."""
    old, new = before.split("\n"), after.split("\n")
    head = _alike(old, new)
    tail = _alike(old[head:][::-1], new[head:][::-1])
    matcher = SequenceMatcher(
        None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False
    )
    return [
        [head + number for number in places]
        for tag, *places in matcher.get_opcodes()
        if tag != "equal"
    ]


def _alike(one: list[str], other: list[str]) -> int:
    pairs = zip(one, other, strict=False)  # the shorter of two texts ends it
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
