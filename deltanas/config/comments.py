"""The comments at the fields of a class, which say what they mean: read from its source."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Mapping
from functools import cache
from pathlib import Path


def comments_of(kind: type) -> dict[str, str]:
    """Return the comment of each field of a dataclass, or member of an enum; "" without one.

    It stands behind the field, or on lines of its own above it; those of the classes that it
    comes from count too.
    """
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("deltanas."):
            found |= _read(str(sys.modules[each.__module__].__file__)).get(each.__name__, {})
    return found


@cache
def _read(path: str) -> Mapping[str, Mapping[str, str]]:
    """Return the comments in a file, by class and field."""
    text = Path(path).read_text(encoding="utf-8")
    comments: dict[int, str] = {}
    alone: set[int] = set()  # lines that hold nothing else
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            line = token.start[0]
            comments[line] = token.string.lstrip("#").strip()
            if token.line.lstrip().startswith("#"):
                alone.add(line)
    found: dict[str, dict[str, str]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            found[node.name] = {
                name: _at(each, comments, alone) for each in node.body for name in _names(each)
            }
    return found


def _names(node: ast.stmt) -> list[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Assign):
        targets = node.targets
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _at(node: ast.stmt, comments: Mapping[int, str], alone: set[int]) -> str:
    first = node.lineno
    while first - 1 in alone:
        first -= 1
    lines = range(first, (node.end_lineno or node.lineno) + 1)
    return " ".join(comments[line] for line in lines if line in comments)
