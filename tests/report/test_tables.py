"""Tables on terminals of any width."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from deltanas.records import CycleSummary, Stage, Summary
from deltanas.report.console import CycleProgress, print_summary
from deltanas.report.remaining import Work
from deltanas.report.tables import print_table

WIDTHS = [30, 40, 60, 80, 100]


def printed(table: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_table(table, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def figures(text: str) -> list[str]:
    return sorted(re.findall(r"[-−+]?[0-9]+\.[0-9]+", text))


@given(
    rows=st.lists(
        st.tuples(
            st.text("abc ·", min_size=1, max_size=40).map(str.strip),
            *[st.floats(-99, 99).map(lambda x: f"{x:+.1f} (25.0–50.0)")] * 3,
        ),
        min_size=1,
        max_size=4,
    ),
    width=st.integers(24, 120),
)
def test_every_figure_is_whole_and_no_line_too_long(
    rows: list[tuple[str, ...]], width: int
) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("group", overflow="fold")
    for head in ("rate, %", "saved\nlines, %", "n"):
        table.add_column(head, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    shown = printed(table, width)
    assert figures(shown) == figures(" ".join(cell for row in rows for cell in row[1:]))
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width


def test_room_goes_where_figures_need_it() -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("group", overflow="fold")
    for head in ("many", "long"):
        table.add_column(head, justify="right", overflow="fold")
    table.add_row("ten, and so", "1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0 9.0", "(-1000.00–2000.00)")
    shown = printed(table, 40)
    assert "(-1000.00–2000.00)" in shown
    assert "group" in shown  # it is a table still


@pytest.mark.parametrize("width", WIDTHS)
def test_the_summary_of_a_run_keeps_its_figures(
    width: int, summary: Summary, cycles: list[CycleSummary]
) -> None:
    wide, narrow = (Console(file=io.StringIO(), width=columns) for columns in (300, width))
    for console in (wide, narrow):
        print_summary(summary, cycles, console)
    shown, full = (console.file.getvalue() for console in (narrow, wide))  # type: ignore[attr-defined]
    assert figures(shown) == figures(full)
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("width", [40, 60])
def test_progress_on_a_narrow_terminal_keeps_its_counts(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    with CycleProgress(console, Work(cycles=22)) as progress:
        progress.begin(Stage.evaluate, "cycle 21: baselines", total=1250)
        progress.advance(1249)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1249/1250" in shown
    assert "0/22" in shown
