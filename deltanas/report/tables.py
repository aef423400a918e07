"""Tables on a terminal of any width: their words wrap, their figures are never cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

_GAP = 2  # columns between cells
_NARROW = 16  # columns that text may be wrapped to, and be folded in where a word is longer


def print_table(table: Table, console: Console) -> None:
    """Print a table whose cells are texts, or a line for each cell where it is too wide.

    A column with `no_wrap` is never wrapped, one aligned to the right only between its words.
    """
    room = console.width - _GAP * len(table.columns)
    bounds = [_bounds(column, table.show_header) for column in table.columns]
    if sum(least for least, _ in bounds) > room:
        _print_cells(table, console)
        return
    for column, width in zip(table.columns, _shared(bounds, room), strict=True):
        column.width = width
    console.print(table)


def _bounds(column: Column, headed: bool) -> tuple[int, int]:
    """Return the columns of a terminal that a column of the table needs, and that it could use."""
    from rich.cells import cell_len

    heads = str(column.header).split("\n") if headed else []
    lines = [line for cell in column.cells for line in str(cell).split("\n")]
    widest = max(map(cell_len, [*heads, *lines]), default=0)
    if column.no_wrap:
        return widest, widest
    if column.justify == "left":
        return min(widest, _NARROW), widest
    return max(map(cell_len, [*heads, *" ".join(lines).split()]), default=0), widest


def _shared(bounds: Sequence[tuple[int, int]], room: int) -> list[int]:
    """Return the widths of columns: what they need, and from the right on what they could use."""
    widths = [least for least, _ in bounds]
    left = room - sum(widths)
    for i, (least, widest) in reversed([*enumerate(bounds)]):
        more = min(left, widest - least)
        widths[i] += more
        left -= more
    return widths


def _print_cells(table: Table, console: Console) -> None:
    from rich.text import Text

    rows = zip(*(column.cells for column in table.columns), strict=True)
    if not table.show_header:
        for row in rows:
            console.print(Text("  ".join(filter(str.strip, map(str, row)))))
        return
    heads = [" ".join(str(column.header).split()) for column in table.columns]
    for name, *cells in rows:
        label = f"{heads[0]} " if heads[0] and table.columns[0].justify == "right" else ""
        if str(name).strip():
            console.print(Text(f"{label}{name}".strip(), style="bold"))
        for head, cell in zip(heads[1:], cells, strict=True):
            if str(cell).strip():
                console.print(Text(f"  {head}: {cell}"))
