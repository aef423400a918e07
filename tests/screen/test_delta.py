from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltanas.screen import DeltaError, apply_delta, extract_delta

SOURCE = """\
import torch.nn as nn
class Net(nn.Module):
    def __init__(self):
        self.a = nn.Conv2d(3, 8, 3)
        self.act = nn.ReLU()
        self.b = nn.Conv2d(8, 8, 3)
        self.act = nn.ReLU()
        self.c = nn.Linear(8, 10)
    def forward(self, x):
        x = self.a(x)
        return self.c(x)
"""
WIDER = """\
--- baseline.py
+++ improved.py
@@ -3,3 +3,3 @@
     def __init__(self):
-        self.a = nn.Conv2d(3, 8, 3)
+        self.a = nn.Conv2d(3, 16, 3)
         self.act = nn.ReLU()
"""
WIDENED = SOURCE.replace("(3, 8, 3)", "(3, 16, 3)")
BUILTIN = Path(__file__).parents[2] / "deltanas" / "archive" / "builtin"


def unified(before: list[str], after: list[str], context: int = 3) -> str:
    rows = difflib.unified_diff(before, after, "baseline.py", "improved.py", "", "", context, "")
    return "".join(f"{row}\n" for row in rows)


@pytest.mark.parametrize(
    "reply",
    [
        WIDER,
        f"<delta>\n{WIDER}</delta>",
        f"I widen the stem.\n<delta>\n{WIDER}</delta>\nThat is all.",
        f"The delta: <delta>\n{WIDER}",
        f"<delta>\n```diff\n{WIDER}```\n</delta>",
        f"Here it is:\n```diff\n{WIDER}```\nDone.",
        f"```python\nx = 1\n```\n```\n{WIDER}```\n",
        f"Sure.\n\n{WIDER}\n\n",
        WIDER.replace("\n", "\r\n"),
        WIDER + "\\ No newline at end of file\n",
        f"diff --git a/baseline.py b/baseline.py\nindex 01ab..23cd 100644\n{WIDER}",
        WIDER.partition("improved.py\n")[2],
        *(
            re.sub("@@.*@@", header, WIDER)
            for header in (
                "@@",
                "@@ ... @@",
                "@@ ... @@ def __init__(self):",
                "@@ -3,3 +3,3 @@ class Net(nn.Module):",
                "@@ -3 +3 @@",
                "@@ -90,1 +7,9 @@",
                "@@ -0,0 +0,0 @@",
            )
        ),
    ],
)
def test_one_delta_in_many_wrappings(reply: str) -> None:
    assert apply_delta(SOURCE, reply) == WIDENED
    assert apply_delta(SOURCE, extract_delta(reply)) == WIDENED


def test_only_the_prose_around_a_delta_is_cut() -> None:
    assert extract_delta(f"I widen it.\n<delta>\n{WIDER}</delta> Bye.") == WIDER
    assert extract_delta(f"- wider stem\n+ more features\n{WIDER}") == WIDER


@pytest.mark.parametrize(
    ("verdict", "message", "delta"),
    [
        ("no_delta", "no line that starts with @@", "I would rather not."),
        ("no_delta", "no line that starts with @@", ""),
        ("no_delta", "no line that starts with @@", f"```python\n{SOURCE}```"),
        ("malformed", "line 4 .* must start with a space", "@@\n-a\n+b\nThis widens it.\n"),
        (
            "malformed",
            "line 2 .* must start with a space",
            "@@\nclass Net(nn.Module):\n+    n = 1\n",
        ),
        ("malformed", "hunk 2 of 2 holds no lines", WIDER + "@@ -8,1 +8,1 @@\n"),
        ("malformed", "before the first @@", "<delta>\n-a\n+b\n@@\n-c\n+d\n</delta>"),
        (
            "misapplied",
            r"hunk 1 of 1: no line of the baseline equals .*3, 9, 3\)', closest is .*3, 8, 3",
            WIDER.replace("3, 8, 3", "3, 9, 3"),
        ),
        (
            "misapplied",
            "not one directly after another",
            "@@\n-import torch.nn as nn\n-        x = self.a(x)\n",
        ),
        (
            "misapplied",
            "no line of the baseline equals '       self.a",  # context that lost its mark
            "@@\n        self.a = nn.Conv2d(3, 8, 3)\n+        self.n = 1\n",
        ),
        (
            "misapplied",
            "hunk 2 of 2 stands at line 3 .* ends at line 10; hunks must follow the order",
            "@@\n-        x = self.a(x)\n+        x = self.b(self.a(x))\n" + WIDER,
        ),
        (
            "misapplied",
            "hunk 2 of 2 stands at lines 5 to 6 .* overlaps .* at lines 3 to 5; make them one",
            WIDER + "@@\n         self.act = nn.ReLU()\n-        self.b = nn.Conv2d(8, 8, 3)\n",
        ),
        (
            "misapplied",
            "hunk 3 of 3 stands at line 4 .* overlaps .* at lines 3 to 5; make them one",
            WIDER
            + "@@\n-        x = self.a(x)\n+        x = self.b(x)\n"
            + "@@\n-        self.a = nn.Conv2d(3, 8, 3)\n",
        ),
        (
            "ambiguous",
            "lines 5, 7, and its header names no line",
            "@@\n-        self.act = nn.ReLU()\n",
        ),
        (
            "ambiguous",
            "lines 5, 7, and its header names line 6",
            "@@ -6,1 +6,0 @@\n-        self.act = nn.ReLU()\n",
        ),
        (
            "ambiguous",
            "no context or removed line",
            "@@ -5,0 +6,1 @@\n+        self.d = nn.ReLU()\n",
        ),
        ("no_op", "syntax tree", WIDER.replace("(3, 16, 3)", "(3, 8,  3)  # same")),
        ("no_op", "syntax tree", "@@\n class Net(nn.Module):\n"),
    ],
)
def test_each_verdict_with_its_reason(verdict: str, message: str, delta: str) -> None:
    with pytest.raises(DeltaError, match=message) as caught:
        apply_delta(SOURCE, delta)
    assert caught.value.verdict == verdict


@pytest.mark.parametrize("line", [5, 7])
def test_a_header_chooses_among_the_places_that_fit(line: int) -> None:
    delta = f"@@ -{line},9 +1,9 @@\n-        self.act = nn.ReLU()\n+        self.act = nn.GELU()\n"
    rows = SOURCE.splitlines()
    rows[line - 1] = "        self.act = nn.GELU()"
    assert apply_delta(SOURCE, delta).splitlines() == rows


def test_one_hunk_that_fits_nowhere_refuses_all() -> None:
    with pytest.raises(DeltaError, match="hunk 2 of 2"):
        apply_delta(SOURCE, WIDER + "@@\n-        return self.d(x)\n+        return x\n")


def test_blank_context_may_lack_its_mark_and_trailing_white_space_counts_nowhere() -> None:
    source = "a = 1\n\nb = 2   \nc = 3\n"
    assert apply_delta(source, "@@\n a = 1\n\n b = 2\n-c = 3 \n+c = 4\n") == (
        "a = 1\n\nb = 2   \nc = 4\n"
    )


def test_blank_lines_between_hunks_belong_to_neither() -> None:
    delta = "@@\n-a = 1\n+a = 2\n\n@@\n-c = 3\n+c = 4\n\n"
    assert apply_delta("a = 1\nb = 2\nc = 3\n", delta) == "a = 2\nb = 2\nc = 4\n"


def test_changed_lines_may_look_like_file_headers() -> None:
    source = "x = (1\n-- y\n)\n"
    assert apply_delta(source, "@@ -1,3 +1,3 @@\n x = (1\n--- y\n+++ y\n )\n") == (
        "x = (1\n++ y\n)\n"
    )
    assert apply_delta(source, "@@\n x = (1\n--- y\n+--z\n") == "x = (1\n--z\n)\n"


def test_a_removed_line_that_looks_like_a_file_header_is_not_dropped() -> None:
    with pytest.raises(DeltaError, match="no line of the baseline equals '-- z'"):
        apply_delta("x = (1\n-- y\n)\n", "@@\n x = (1\n+-2\n--- z\n+++ z\n")


def test_file_headers_may_stand_before_every_hunk() -> None:
    second = "--- a/net.py\n+++ b/net.py\n@@\n-        return self.c(x)\n+        return x\n"
    assert apply_delta(SOURCE, WIDER + second) == WIDENED.replace("return self.c(x)", "return x")


def test_characters_that_end_no_line_in_python_end_none_here() -> None:
    source = "a = '\x0c\x1c\u2028\x85'\nb = 1\n"
    assert apply_delta(source, "@@\n-b = 1\n+b = '\u2028'\n") == (
        "a = '\x0c\x1c\u2028\x85'\nb = '\u2028'\n"
    )


@pytest.mark.parametrize("added", ["b = (", "b = 'a\0'", "b = " + "-" * 9000 + "1"])
def test_whether_the_result_parses_is_another_gates_question(added: str) -> None:
    assert apply_delta("a = 1\n", f"@@\n-a = 1\n+{added}\n") == f"{added}\n"


LINE = st.sampled_from(
    [
        "x = 1",
        "x = 2",
        "y = x",
        "y = -x",
        "if x:",
        "    x = 1",
        "    -- y",
        "-- y",
        "++ y",
        "",
        "@@",
    ]
)


def outcome(source: str, delta: str) -> str:
    """Return the edited source, or the verdict of the error."""
    try:
        return apply_delta(source, delta)
    except DeltaError as error:
        return str(error.verdict)


@given(st.lists(LINE, min_size=1, max_size=24), st.lists(LINE, max_size=24))
def test_a_diff_gives_back_exactly_what_it_was_made_of(
    before: list[str], after: list[str]
) -> None:
    source, wanted = "\n".join(before) + "\n", "".join(f"{line}\n" for line in after)
    refused = "no_delta" if before == after else "no_op"
    assert outcome(source, unified(before, after)) in (wanted, refused)


@settings(max_examples=40)
@given(st.data())
def test_damaged_numbers_never_give_another_file(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(BUILTIN.glob("*.py"))))
    source = path.read_text()
    before = source.splitlines()
    after = list(before)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(after) - 1))
        after[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.lists(st.sampled_from([*before, "        x = x + 1"]), max_size=3)
        )
    delta, wanted = unified(before, after), "".join(f"{line}\n" for line in after)
    count = data.draw(st.integers(0, 200))
    headers = re.compile(r"^@@ -(\d+).*$", re.MULTILINE)
    refused = ("no_op", "no_delta")
    assert outcome(source, headers.sub(rf"@@ -\1,{count} +1,1 @@", delta)) in (wanted, *refused)
    assert outcome(source, headers.sub("@@", delta)) in (wanted, "ambiguous", *refused)


@given(st.data())
def test_a_delta_for_another_baseline_is_refused(data: st.DataObject) -> None:
    before = SOURCE.splitlines()
    at = data.draw(st.integers(0, len(before) - 1))
    after = [*before[:at], "        self.n = 1", *before[at + 1 :]]
    touched = data.draw(st.integers(max(0, at - 3), min(len(before) - 1, at + 3)))
    other = [line if i != touched else f"{line} + 1" for i, line in enumerate(before)]
    with pytest.raises(DeltaError) as caught:
        apply_delta("\n".join(other) + "\n", unified(before, after))
    assert caught.value.verdict == "misapplied"
