"""A network as text: its comment-free form, its fingerprint, the lines no delta may touch."""

from __future__ import annotations

import ast
import hashlib
import io
import re
import tokenize
from collections.abc import Iterator

FROZEN = ("train_setup", "learn", "supported_hyperparameters")  # not architecture: never edited
_LONG_STRING = re.compile(r"""'''|\"{3}|['"].*\\\n""")  # may begin on lines with such


def strip_comments(code: str) -> str:
    """Return the code without comments, docstrings and blank lines; the layout stays otherwise.

    Raises SyntaxError when the code does not parse.
    """
    return stripped(code, ast.parse(code))


def stripped(code: str, tree: ast.Module) -> str:
    """Return what `strip_comments` does, for code with its syntax tree as the parser made it."""
    lines = code.replace("\r\n", "\n").split("\n")  # as the parser counts them
    for owner in _with_docstring(tree):
        docstring, *others = owner.body
        first, last = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
        if lines[first][: docstring.col_offset].strip() or (others and others[0].lineno == last):
            continue  # "class A: 'text'" and "'text'; a = 1" on one line: left alone
        lines[first:last] = [""] * (last - first)
        if not others and not isinstance(owner, ast.Module):
            lines[first] = " " * docstring.col_offset + "pass"
    inside_string = _cut_comments(lines)
    kept = (
        line if row in inside_string else line.rstrip()
        for row, line in enumerate(lines)
        if line.strip() or row in inside_string
    )
    return "".join(f"{line}\n" for line in kept)


def fingerprint(code: str) -> str:
    """Return a hash of the syntax tree: equal for networks that differ in layout or comments only.

    Raises SyntaxError when the code does not parse.
    """
    return tree_fingerprint(ast.parse(code))


def tree_fingerprint(tree: ast.Module) -> str:
    """Return the `fingerprint` of code by its syntax tree, and take the docstrings out of that."""
    for owner in _with_docstring(tree):
        owner.body = owner.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:32]


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the module and each statement in it, at any depth, in a tenth of `ast.walk`'s time.

    Exception handlers and cases count as statements; expressions are left out.
    """
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            nodes.extend(getattr(node, block, ()))


def frozen_lines(code: str) -> frozenset[int]:
    """Return the line numbers, from 1, of `train_setup`, `learn`, `supported_hyperparameters`.

    Raises SyntaxError when the code does not parse.
    """
    return frozenset(
        line
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef) and node.name in FROZEN
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    )


def _with_docstring(tree: ast.Module) -> list[ast.Module | ast.ClassDef | ast.FunctionDef]:
    """Return every module, class and function whose body starts with a docstring."""
    return [
        node
        for node in statements(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
        and isinstance(node.body[0].value.value, str)
    ]


def _cut_comments(lines: list[str]) -> set[int]:
    """Cut comments in place; return the rows inside multi-line strings, whose blanks are data."""
    text = "".join(f"{line}\n" for line in lines)
    if not _LONG_STRING.search(text):
        code = {row: line.partition("#")[0] for row, line in enumerate(lines) if "#" in line}
        if not any(quote in line for line in code.values() for quote in "'\""):
            for row, line in code.items():  # tokenizing takes 7 ms a network: only where needed
                lines[row] = line
            return set()
    inside_string: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column]
        elif token.type == tokenize.STRING and token.end[0] > row:
            inside_string.update(range(row - 1, token.end[0]))
    return inside_string
