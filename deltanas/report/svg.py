"""Drawings as inline SVG: small, reproducible, without links, coloured by the page they are in.

Colours are written as CSS variables (`--ink`, `--line`, `--a`, `--b`, `--c`) that the page defines
for light and dark, so one drawing serves both.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Stand-ins that no plot uses otherwise; they become variables of the page's style sheet.
INK, LINE, A, B, C = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {INK: "ink", LINE: "line", A: "a", B: "b", C: "c"}

_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
}


@dataclass(slots=True)
class Drawing:
    """Axes to draw on, and the finished `<svg>` element once the drawing is closed."""

    axes: Axes
    svg: str = ""


@contextmanager
def drawing(name: str, label: str, height: float = 2.9) -> Iterator[Drawing]:
    """Open a drawing 4.6 inches wide and `height` inches high; the same data give the same text.

    A page shows it at 330 to 470 pixels: its text is 10 to 15 pixels high, on a
    telephone too. `name` keeps the ids of several drawings on one page apart; `label` tells
    screen readers what the drawing shows.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(4.6, height), layout="constrained")
        axes = figure.add_subplot()
        picture = Drawing(axes)
        yield picture
        text = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=nothing, transparent=True)
    picture.svg = _inline(text.getvalue(), label)


def _inline(svg: str, label: str) -> str:
    """Return the bare `<svg>` element: no prologue, no namespaces, no fixed size, CSS colours."""
    body = svg[svg.index("<svg") :]
    view = re.search(r'viewBox="[^"]*"', body)
    if view is None:
        raise ValueError(f"the drawing {label!r} has no viewBox")
    body = f'<svg {view[0]} role="img" aria-label="{label}">' + body[body.index(">") + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    return body.strip()
