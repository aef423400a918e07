"""Differences of replayed rows: what counts, what may differ, and how it is shown."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from deltanas.records import Attempt, Verdict
from deltanas.report.differences import (
    SHOWN_ROWS,
    Difference,
    differences_of_attempts,
    print_differences,
)

ROW = Attempt(
    attempt_id="c00-s000",
    cycle=0,
    slot=0,
    parent_id="vgg",
    dataset="digits",
    verdict=Verdict.TRAINED,
    reason="",
    prompt="",
    reply="@@",
    delta="@@",
    code="a\nb\n",
    delta_lines=1,
    delta_tokens=None,
    prompt_tokens=0,
    output_tokens=0,
    full_lines=2,
    full_tokens=None,
    seed=1,
    seconds_generate=1.0,
    seconds_evaluate=1.0,
    proxy_accuracy=0.5,
)
LATE = replace(ROW, verdict=Verdict.TIMED_OUT, proxy_accuracy=None, reason="after 60.1 s")


def fields(recorded: Attempt, replayed: Attempt) -> list[tuple[str, bool]]:
    found = differences_of_attempts([recorded], [replayed])
    return [(each.field, each.limited) for each in found]


def test_times_memory_and_tokens_do_not_count() -> None:
    other = replace(ROW, seconds_evaluate=9.0, memory_bytes=1, cpu_seconds=2.0, full_tokens=3)
    assert fields(ROW, other) == []


def test_every_other_field_counts() -> None:
    assert fields(ROW, replace(ROW, proxy_accuracy=0.25)) == [("proxy_accuracy", False)]
    assert fields(ROW, replace(ROW, gain=0.0, admitted=True)) == [
        ("gain", False),
        ("admitted", False),
    ]


def test_a_delta_that_applied_may_be_written_otherwise() -> None:
    assert fields(ROW, replace(ROW, delta="--- a/baseline.py")) == []
    unapplied = replace(ROW, verdict=Verdict.MISAPPLIED, code="", proxy_accuracy=None)
    assert fields(unapplied, replace(unapplied, delta="@@ -1")) == [("delta", False)]
    other = replace(ROW, delta="@@ -1", code="b\n")
    assert fields(ROW, other) == [("code", False)]


def test_a_limit_is_marked_and_its_reason_may_differ() -> None:
    assert fields(LATE, ROW) == [("verdict", True), ("reason", True), ("proxy_accuracy", True)]
    assert fields(LATE, replace(LATE, reason="after 60.2 s")) == []


def test_addresses_in_reasons_may_differ() -> None:
    one, other = (
        replace(LATE, verdict=Verdict.BUILD, reason=f"<x at 0x7f{end}>") for end in ("a1", "b2")
    )
    assert fields(one, other) == []
    assert fields(one, replace(other, reason="gone")) == [("reason", False)]


def test_a_row_that_is_missing_is_a_difference() -> None:
    (found,) = differences_of_attempts([ROW], [])
    assert (found.name, found.field, found.replayed) == ("c00-s000", "row", "missing")


def test_the_table_shows_the_line_that_differs_and_ends_in_a_count() -> None:
    one = Difference(
        name="c00-s000", field="code", recorded="a\nb\n", replayed="a\n\x1bc\n", limited=True
    )
    console = Console(file=io.StringIO(), width=100)
    print_differences([one] * (SHOWN_ROWS + 5), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    rows = [line.split() for line in shown.splitlines()[1:-1]]
    assert rows == [["c00-s000", "code", "b", "\ufffdc", "limit"]] * SHOWN_ROWS
    assert "45 differences, 40 shown; 45 met a limit" in shown
