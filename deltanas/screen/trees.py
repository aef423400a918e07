"""A network's architecture as the nodes of its syntax tree, for a measure that sees no layout."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from deltanas.source import FROZEN

# not architecture: how a name is used, which node types tell, and what types are said to be
_SKIPPED = frozenset({"ctx", "annotation", "returns", "type_comment", "type_params"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree_shingles(code: str, length: int) -> set[bytes]:
    """Return the distinct runs of `length` nodes in preorder; of a shorter tree the whole.

    Raises SyntaxError when the code does not parse.
    """
    found = list(nodes(code))
    starts = range(max(1, len(found) - length + 1))
    return {"\n".join(found[start : start + length]).encode() for start in starts}


def nodes(code: str) -> Iterator[str]:
    """Yield the nodes of an architecture in preorder: type, and constant, operator or name.

    Left out are imports, the frozen functions, docstrings and annotations. Names that the network
    gives (classes, functions, arguments, variables, attributes of its objects) are all alike;
    those of libraries stay, as do the keywords of their functions.
    """
    tree = ast.parse(code)
    own = _own_names(tree)
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield _shown(node, own)
        waiting += reversed(_children(node, own))


def _children(node: ast.AST, own: frozenset[str]) -> list[ast.AST]:
    if isinstance(node, ast.Call) and _is_nameless(node.func, own):
        return [node.func, *node.args, *(each.value for each in node.keywords)]
    found: list[ast.AST] = []
    for field in node._fields:
        value = getattr(node, field, None) if field not in _SKIPPED else None
        if isinstance(value, ast.AST):
            found.append(value)
        elif isinstance(value, list):
            found += [each for each in value if isinstance(each, ast.AST) and not _is_mute(each)]
    return found


def _is_mute(node: ast.AST) -> bool:
    """Tell whether a statement says nothing of the architecture."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    frozen = isinstance(node, _Function) and node.name in FROZEN
    return frozen or isinstance(node, ast.Import | ast.ImportFrom | ast.Pass)


def _own_names(tree: ast.Module) -> frozenset[str]:
    """Return the names that a network gives to things of its own."""
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, _Function | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
    return frozenset(own)


def _shown(node: ast.AST, own: frozenset[str]) -> str:
    kind = type(node).__name__
    if isinstance(node, ast.Constant):
        return f"{kind} {node.value!r}"
    if isinstance(node, ast.Name) and not _is_nameless(node, own):
        return f"{kind} {node.id}"
    if isinstance(node, ast.Attribute) and not _is_nameless(node, own):
        return f"{kind} {node.attr}"
    if isinstance(node, ast.keyword):
        return f"{kind} {node.arg}"
    return kind


def _is_nameless(node: ast.expr, own: frozenset[str]) -> bool:
    """Tell whether the network named this: `x`, `self.layers`; but not `nn.Conv2d`, `x.view`."""
    if isinstance(node, ast.Name):
        return node.id in own
    if not isinstance(node, ast.Attribute) or node.attr not in own:
        return False
    base: ast.expr = node.value
    while isinstance(base, ast.Attribute | ast.Subscript):
        base = base.value
    return isinstance(base, ast.Name) and base.id in own
