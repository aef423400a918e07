"""What stands around the rows of a delta: headers of hunks and files, marks, blank lines."""

from __future__ import annotations

import pytest

from deltanas.screen import DeltaError, apply_delta

SOURCE = """\
import torch.nn as nn
class Block(nn.Module):
    def __init__(self):
        self.act = nn.ReLU()
    def forward(self, x):
        return self.act(x)
class Net(nn.Module):
    def __init__(self):
        self.act = nn.ReLU()
        self.fc = nn.Linear(8, 10)
    def forward(self, x):
        return self.act(x)
"""
SMOOTH = "-        self.act = nn.ReLU()\n+        self.act = nn.GELU()\n"
TWICE = "-        return self.act(x)\n+        return self.act(self.act(x))\n"
WIDER = "-        self.fc = nn.Linear(8, 10)\n+        self.fc = nn.Linear(16, 10)\n"
WIDENED = SOURCE.replace("(8, 10)", "(16, 10)")
NAMES = "--- baseline.py\n+++ improved.py\n"


def lines_changed(result: str) -> list[int]:
    pairs = zip(SOURCE.splitlines(), result.splitlines(), strict=True)
    return [number for number, (old, new) in enumerate(pairs, 1) if old != new]


@pytest.mark.parametrize(
    "header",
    [
        "@@ -X,Y +X,Y @@",
        "@@ -X,Y +X,Y @@ class Net(nn.Module):",
        "@@ -start,count +start,count @@",
        "@@ -10 +10",
        "@@ -10,1 10,1 @@",
        "@@-10,1+10,1@@",
        "@@...@@",
        "@@ … @@",
        "@@@@",
        "@@ the head",
        "@@ class Net(nn.Module):",
        f"@@ -{'9' * 5000},1 +1 @@",
        "\ufeff@@",
    ],
)
def test_whatever_starts_with_two_ats_is_a_header(header: str) -> None:
    assert apply_delta(SOURCE, f"{header}\n{WIDER}") == WIDENED
    assert apply_delta(SOURCE, f"I widen it.\n\n{NAMES}{header}\n{WIDER}") == WIDENED


@pytest.mark.parametrize(
    ("header", "rows", "line"),
    [
        ("@@ class Net", SMOOTH, 9),
        ("@@ class Net(nn.Module):", SMOOTH, 9),
        ("@@ class Block(nn.Module): def __init__(self):", SMOOTH, 4),
        ("@@ ... @@ class Block(nn.Module):", TWICE, 6),
        ("@@ Net.forward @@", TWICE, 12),
        ("@@ Net.forward(self, x):", TWICE, 12),
        ("@@ -X,Y +X,Y @@ class Net(nn.Module):", SMOOTH, 9),
        ("@@ -5,1 +5,1 @@ class Net(nn.Module):", SMOOTH, 9),  # a number that fits nowhere
        ("@@ -4,1 +4,1 @@ class Net(nn.Module):", SMOOTH, 4),  # and one that fits
    ],
)
def test_words_in_a_header_choose_among_the_places_that_fit(
    header: str, rows: str, line: int
) -> None:
    assert lines_changed(apply_delta(SOURCE, f"{header}\n{rows}")) == [line]


@pytest.mark.parametrize(
    ("header", "rows", "verdict", "message"),
    [
        ("@@ def forward", TWICE, "ambiguous", "at lines 6, 12, and .* names 'def forward'"),
        ("@@ the block @@", SMOOTH, "ambiguous", "at lines 4, 9, and .* names 'the block'"),
        ("@@ def forward", WIDER, "misapplied", "at line 10, not in 'def forward'"),
        ("@@ -X,Y +X,Y @@", SMOOTH, "ambiguous", "names no line"),
    ],
)
def test_a_header_that_settles_nothing_is_refused(
    header: str, rows: str, verdict: str, message: str
) -> None:
    with pytest.raises(DeltaError, match=message) as caught:
        apply_delta(SOURCE, f"{header}\n{rows}")
    assert caught.value.verdict == verdict


def test_words_settle_nothing_in_a_source_that_does_not_parse() -> None:
    with pytest.raises(DeltaError, match="names 'class Net'"):
        apply_delta(f"{SOURCE}(", f"@@ class Net\n{SMOOTH}")


@pytest.mark.parametrize(
    "mark",
    [
        "\\ No newline at end of file",
        "\\ Kein Zeilenumbruch am Dateiende.",
        "\\No newline",
        "\\",
    ],
)
def test_a_line_that_starts_with_a_backslash_is_no_row(mark: str) -> None:
    assert apply_delta(SOURCE, f"@@\n{WIDER}{mark}\n") == WIDENED
    removed, added = WIDER.splitlines()
    assert apply_delta(SOURCE, f"@@\n{removed}\n{mark}\n{added}\n{mark}\n") == WIDENED
    source, last = SOURCE + "x = 1", f"-x = 1\n{mark}\n+x = 2\n"
    assert apply_delta(source, f"@@\n{last}{mark}\n") == SOURCE + "x = 2"
    assert apply_delta(source, f"@@\n{last}") == SOURCE + "x = 2\n"
    assert apply_delta(source, f"@@\n{WIDER}") == WIDENED + "x = 1"
    assert apply_delta(source, "@@\n x = 1\n+y = 1\n") == SOURCE + "x = 1\ny = 1\n"


@pytest.mark.parametrize("blank", ["", " ", "\t", "  \n\n "])
@pytest.mark.parametrize(
    "between",
    [
        "{blank}\n@@\n",
        "@@\n{blank}\n",
        f"{{blank}}\n{NAMES}{{blank}}\n@@\n",
        "--- a\n{blank}\n+++ b\n{blank}\n@@\n",
        "\\\n{blank}\n@@\n",
    ],
)
def test_blank_lines_between_hunks_are_no_context(between: str, blank: str) -> None:
    delta = f"@@\n-a = 1\n+a = 2\n{between.format(blank=blank)} b = 1\n-c = 1\n+c = 2\n{blank}\n"
    assert apply_delta("a = 1\nb = 1\nc = 1\n", delta) == "a = 2\nb = 1\nc = 2\n"


def test_blank_context_still_tells_places_apart() -> None:
    source = "a = 1\nb = 2\na = 1\n\nb = 3\n"
    assert apply_delta(source, "@@\n-a = 1\n+a = 2\n \n") == "a = 1\nb = 2\na = 2\n\nb = 3\n"


def test_only_blank_lines_left_out_place_no_hunk() -> None:
    with pytest.raises(DeltaError, match="no line of the baseline equals ''") as caught:
        apply_delta("a = 1\n", "@@\n \n+b = 1\n")
    assert caught.value.verdict == "misapplied"


def test_an_empty_file_has_one_place() -> None:
    assert apply_delta("", "@@ -0,0 +1 @@\n+a = 1\n") == "a = 1\n"


def test_two_files_in_one_delta_count_once_where_they_are_alike() -> None:
    first, second = f"{NAMES}@@\n{WIDER}", f"{NAMES}@@ -12,1 +12,1 @@\n{TWICE}"
    assert apply_delta(SOURCE, f"{first}\n{first}") == WIDENED
    assert lines_changed(apply_delta(SOURCE, f"{first}\n{second}\n{first}")) == [10, 12]
    with pytest.raises(DeltaError, match="stands at line 10 .* overlaps .* at line 10; make"):
        apply_delta(SOURCE, f"@@\n{WIDER}@@\n{WIDER}")
