"""The width edit: one width with all its uses, or entries of a width list."""

from __future__ import annotations

import ast
from collections import Counter
from random import Random

from deltanas.propose.edits.calls import (
    SIZES,
    dotted,
    integer,
    kind,
)
from deltanas.propose.edits.ledger import Width
from deltanas.propose.edits.reductions import least_width
from deltanas.propose.edits.view import Span, View, view_of
from deltanas.propose.edits.walk import Walk

OPAQUE_CALLS = frozenset(
    [
        "cat",
        "concat",
        "concatenate",
        "chunk",
        "split",
        "stack",
        "matmul",
        "bmm",
        "einsum",
        "permute",
        "transpose",
        "unbind",
        "ModuleList",
        "ModuleDict",
        "MultiheadAttention",
        "pixel_shuffle",
        "PixelShuffle",
        "unfold",
    ]
)


LADDER = (8, 16, 24, 32, 40, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512)


WIDE = (640, 768, 896, 1024, 1280, 1536, 2048, 2560, 3072, 4096)


def width(code: str, rng: Random) -> str | None:
    """Change one width, or several, at its producer, its norms and its consumers alike."""
    view = view_of(code)
    listed = _listed_widths(view, rng)
    if listed and rng.random() < 0.5:
        return view.replaced(listed)
    free = widths_of(view)
    spans: list[Span] = []
    for chosen in rng.sample(free, min(len(free), rng.choice((1, 1, 1, 2)))):
        new = nearby(chosen.value, rng, tuple(chosen.divisors))
        if new is not None and new >= least_width(view) and not chosen.guessed:
            spans += [view.swap(node, str(new * factor)) for node, factor in chosen.slots]
    return view.replaced(spans or listed or []) if spans or listed else None


def nearby(value: int, rng: Random, divisors: tuple[int, ...] = ()) -> int | None:
    """Return another usual width, between half and twice the value, that all divisors divide."""
    choices = [
        new
        for new in LADDER + WIDE
        if new != value and value <= 2 * new <= 4 * value and not any(new % d for d in divisors)
    ]
    return rng.choice(choices) if choices else None


def width_lists(view: View) -> list[ast.List | ast.Tuple]:
    """Return lists of literals that are widths of layers built in a loop: [32, 64, 'M', 128]."""
    loops = [n.iter for n in view.nodes if isinstance(n, ast.For | ast.comprehension)]
    looped = {dotted(inner) for loop in loops for inner in (loop, *view.below(loop))}
    found = []
    for node in view.nodes:
        if not isinstance(node, ast.List | ast.Tuple) or len(node.elts) < 2:
            continue
        numbers = [v for v in map(integer, node.elts) if v is not None]
        others = [e for e in node.elts if integer(e) is None]
        texts = all(isinstance(e, ast.Constant) and isinstance(e.value, str) for e in others)
        wide = len(numbers) >= 2 and all(v >= 8 and v % 4 == 0 for v in numbers)
        if not texts or not wide or (not others and numbers != sorted(numbers)):
            continue
        parent = view.parents[node]
        called = isinstance(parent, ast.Call) and kind(parent) in view.builders | {"enumerate"}
        named = isinstance(parent, ast.Assign) and dotted(parent.targets[0]) in looped
        if called or named or node in loops or (others and isinstance(parent, ast.Dict)):
            found.append(node)
    return found


def _listed_widths(view: View, rng: Random) -> list[Span] | None:
    """Return the spans that change entries of a width list other than its last number."""
    lists = width_lists(view)
    if not lists:
        return None
    numbers = [e for e in rng.choice(lists).elts if integer(e) is not None]
    spans: list[Span] = []
    for node in rng.sample(numbers[:-1], rng.randint(1, len(numbers) - 1)):
        new = nearby(integer(node) or 0, rng)
        if new is not None and new >= least_width(view):
            spans.append(view.swap(node, str(new)))
    return spans or None


def widths_of(view: View) -> list[Width]:
    """Return the widths of a network that may change on their own, in textual order."""
    found: list[Width] = []
    taken: set[int] = set()
    for owner in view.classes.values():
        for width in _class_widths(view, owner):
            found.append(width)
            taken |= {id(node) for node, _ in width.slots}
    for container in view.containers:
        walk = Walk(view, None)
        for element in container.elements:
            walk.expression(element)
        if walk.ledger.mismatch:
            continue
        for width in walk.ledger.roots():
            last = walk.ledger.current is not None and width is walk.ledger.current.root()
            if width.free() and not last and not taken & {id(node) for node, _ in width.slots}:
                found.append(width)
    return found


def _class_widths(view: View, owner: ast.ClassDef) -> list[Width]:
    walk = Walk(view, owner)
    if "__init__" not in walk.methods:
        return []
    nature = _flow(view, owner)
    if nature == "opaque":
        return []
    walk.body(walk.methods["__init__"].body)
    last = walk.ledger.current.root() if walk.ledger.current else None
    if last:
        last.locked = True
    roots = walk.ledger.roots()
    if walk.ledger.mismatch or nature == "branched":
        roots = _collapsed(walk, roots)
    loose = _loose(view, owner, walk)
    return [w for w in roots if w.free() and w.value not in loose and len(w.slots) >= 1]


def _collapsed(walk: Walk, roots: list[Width]) -> list[Width]:
    """Merge all widths of equal value: the order of the text is not the order of the data."""
    by_value: dict[int, Width] = {}
    for width in roots:
        known = by_value.get(width.value)
        by_value[width.value] = walk.ledger.merge(known, width) if known else width
    return list(by_value.values())


def _flow(view: View, owner: ast.ClassDef) -> str:
    """Return how data flows: `opaque`, `branched` or `straight`."""
    nature = "straight"
    for node in view.below(owner):
        name = kind(node)
        if name in OPAQUE_CALLS:
            return "opaque"
        if name in ("view", "reshape") and isinstance(node, ast.Call) and len(node.args) > 2:
            return "opaque"
        if isinstance(node, ast.FunctionDef) and "forward" in node.name:
            seen: Counter[str] = Counter()
            for inner in view.below(node):
                adds = isinstance(inner, ast.BinOp | ast.AugAssign) and isinstance(
                    inner.op, ast.Add | ast.Mult | ast.Sub
                )
                if adds or isinstance(inner, ast.For | ast.If | ast.ListComp):
                    nature = "branched"
                if isinstance(inner, ast.Call) and dotted(inner.func).startswith("self."):
                    seen[kind(inner)] += 1
            if any(count > 1 for count in seen.values()):
                nature = "branched"
    return nature


def _loose(view: View, owner: ast.ClassDef, walk: Walk) -> set[int]:
    """Return the values of literals of 8 or more that stand where no width was recognised."""
    return {
        node.value
        for node in view.below(owner)
        if isinstance(node, ast.Constant)
        and type(node.value) is int
        and node.value >= 8
        and id(node) not in walk.ledger.used
        and getattr(view.parents[node], "arg", "") not in SIZES
    }
