"""Breaks networks in LEMUR's interface, one seeded edit each: a shape, a name, or the interface.

An edit is one that an LLM's slip could be. It need not hurt: whether it does, a check has to say.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

FIXED = ("train_setup", "learn", "supported_hyperparameters")  # where no candidate may edit
Edit = Callable[[], object]


def broken(code: str, kind: str, rng: Random) -> str:
    """Return a network's source with one edit of a kind of `KINDS`. Raises IndexError for none."""
    tree = ast.parse(code)
    edits = list(KINDS[kind](tree, rng))
    rng.choice(edits)()
    return ast.unparse(tree)


def _shapes(tree: ast.Module, rng: Random) -> Iterator[Edit]:
    """Change a number that a layer is made with, swap two arguments, lose a statement."""
    for node in _editable(tree):
        if isinstance(node, ast.Call):
            numbers = [*node.args, *(word.value for word in node.keywords)]
            for one in numbers:
                if isinstance(one, ast.Constant) and type(one.value) is int and one.value > 1:
                    value = rng.choice((one.value + 1, one.value - 1, 2 * one.value))
                    yield partial(setattr, one, "value", value)
            if len({ast.dump(one) for one in node.args[:2]}) == 2:
                swapped = [node.args[1], node.args[0], *node.args[2:]]
                yield partial(setattr, node, "args", swapped)
        elif isinstance(node, ast.FunctionDef) and len(node.body) > 1:
            at = rng.randrange(len(node.body))
            yield partial(node.body.pop, at)


def _names(tree: ast.Module, rng: Random) -> Iterator[Edit]:
    """Misspell a name or an attribute that is read, or read another one."""
    nodes = list(_editable(tree))
    for field, kind in (("id", ast.Name), ("attr", ast.Attribute)):
        known = sorted({getattr(node, field) for node in nodes if isinstance(node, kind)})
        for node in nodes:
            if isinstance(node, kind) and isinstance(node.ctx, ast.Load):
                name = getattr(node, field)
                other = rng.choice([*(one for one in known if one != name), f"{name}s"])
                new = rng.choice((f"{name[:-1]}_", other))
                yield partial(setattr, node, field, new)


def _interface(tree: ast.Module, rng: Random) -> Iterator[Edit]:
    """Rename what is called from outside, change its arguments, or what it returns."""
    for net in tree.body:
        if not (isinstance(net, ast.ClassDef) and net.name == "Net"):
            continue
        yield partial(setattr, net, "name", "Network")
        yield partial(setattr, net, "bases", [])
        for method in net.body:
            if not isinstance(method, ast.FunctionDef):
                continue
            if method.name in ("__init__", "forward", "train_setup"):
                yield partial(setattr, method, "name", f"{method.name.strip('_')}_")
                yield method.args.args.pop
                more = ast.arg("mask")
                if not method.args.defaults:
                    yield partial(method.args.args.append, more)
            returned = method.body[-1]
            if method.name == "forward" and isinstance(returned, ast.Return) and returned.value:
                pair = ast.Tuple([returned.value, returned.value], ast.Load())
                yield partial(setattr, returned, "value", pair)
                yield partial(setattr, returned, "value", None)


KINDS: dict[str, Callable[[ast.Module, Random], Iterator[Edit]]] = {
    "shape": _shapes,
    "name": _names,
    "interface": _interface,
}


def _editable(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every node that is in no function of `FIXED`."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.FunctionDef) and child.name in FIXED):
            yield child
            yield from _editable(child)
