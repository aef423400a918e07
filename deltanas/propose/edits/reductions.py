"""Blocks that divide their width by a `reduction`, as gates do: no edit leaves them no channel."""

from __future__ import annotations

import ast

from deltanas.propose.edits.calls import SIZES, argument, dotted, integer
from deltanas.propose.edits.view import View


def least_width(view: View) -> int:
    """Return the least that a width may become, as some blocks divide it out of sight; or 0."""
    found = [integer(node) or 0 for node, width in _reductions(view) if width is None]
    return max(found, default=0)


def fits_reduction(view: View, node: ast.expr, new: int) -> bool:
    """Tell whether a literal `reduction` may become a new value.

    It divides the width that is given beside it, else perhaps the smallest in sight.
    """
    known = {id(literal): width for literal, width in _reductions(view)}
    own = known.get(id(node))
    widths = [
        number
        for literal in view.nodes
        if (number := integer(literal)) is not None
        and number >= 8
        and id(literal) not in known
        and getattr(view.parents[literal], "arg", "") not in SIZES
    ]
    return new <= (own or min(widths, default=new))


def _reductions(view: View) -> list[tuple[ast.expr, int | None]]:
    """Return every literal `reduction` with the literal width beside it."""
    found: list[tuple[ast.expr, int | None]] = []
    for node in view.nodes:
        if isinstance(node, ast.Call):
            width = integer(argument(node, 0, "channels"))
            found += [(k.value, width) for k in node.keywords if k.arg == "reduction"]
        elif isinstance(node, ast.Assign):
            name = dotted(node.targets[0]).removeprefix("self.")
            found += [(node.value, None)] if name == "reduction" else []
    return [(literal, width) for literal, width in found if integer(literal) is not None]
