"""Random edits of a network: the control without an LLM, and part of the embedded LLM's corpus."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Iterator, Mapping
from operator import eq
from random import Random

from deltanas.propose.edits import blocks, convs, layers, modules, widths
from deltanas.propose.edits.view import View, view_of

Operator = Callable[[str, Random], str | None]

OPERATORS: Mapping[str, Operator] = {
    "width": widths.width,
    "block": blocks.block,
    "normalisation": layers.normalisation,
    "kernel": convs.kernel,
    "activation": layers.activation,
    "pooling": convs.pooling,
    "dropout": layers.dropout,
    "conv_options": convs.conv_options,
    "skip": modules.skip,
}
WEIGHTS: Mapping[str, int] = {
    "width": 6,
    "block": 6,
    "normalisation": 4,
    "kernel": 3,
    "activation": 2,
    "pooling": 2,
    "dropout": 2,
    "conv_options": 2,
    "skip": 1,
}
TRIES = 24  # draws by weight, in which up to three operators are found
ROUNDS = 20  # of every operator in turn, before a network counts as not editable


class EditError(ValueError):
    """No operator applies to a network."""


def random_edit(code: str, rng: Random, *, operators: int | None = None) -> str:
    """Return the source after a number of random edits, drawn from 1 to 3 unless given.

    Shapes stay consistent as far as the text shows them; lines outside the architecture stay.
    Raises EditError when no operator applies, SyntaxError when the code does not parse.
    """
    wanted = operators if operators is not None else rng.choices((1, 2, 3), (1, 3, 2))[0]
    fixed = view_of(code).fixed_text()
    seen = {"".join(code.split())}
    edited, done = code, 0
    for tried, name in enumerate(_draws(rng), 1):
        result = OPERATORS[name](edited, rng)
        if result is not None and view_of(result).fixed_text() == fixed:
            text = "".join(result.split())
            if text not in seen and not _equal(view_of(result), view_of(code)):
                seen.add(text)
                edited, done = result, done + 1
        if done == wanted or (done and tried >= TRIES):
            break
    if not done:
        raise EditError(
            f"no operator changed the network in {TRIES} draws and {ROUNDS} rounds of all of them;"
            " no layer has literal sizes"
        )
    return edited


def _draws(rng: Random) -> Iterator[str]:
    """Yield operators by their weights, then each as often, for a network that few fit."""
    names = list(OPERATORS)
    for _ in range(TRIES):
        yield rng.choices(names, [WEIGHTS[name] for name in names])[0]
    for _ in range(ROUNDS):
        yield from rng.sample(names, len(names))


def _equal(one: View, other: View) -> bool:
    """Tell whether two texts hold the same architecture, whatever their layout."""
    return len(one.nodes) == len(other.nodes) and all(
        map(eq, map(_content, one.nodes), map(_content, other.nodes))
    )


def _content(node: ast.AST) -> tuple[object, ...]:
    if isinstance(node, ast.Constant):
        return type(node.value), node.value
    if isinstance(node, ast.Name):
        return ast.Name, node.id
    return type(node), getattr(node, "attr", None), getattr(node, "arg", None)


def unified_delta(before: str, after: str) -> str:
    """Return the unified diff from one source text to another, with three lines of context."""
    sides = _lines(before), _lines(after)
    rows = difflib.unified_diff(*sides, "baseline.py", "improved.py", lineterm="")
    return "".join(f"{row}\n" for row in rows)


def _lines(code: str) -> list[str]:
    """Return the lines as a diff counts them: form feeds and their like end none."""
    return code.removesuffix("\n").split("\n")
