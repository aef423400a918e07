"""Compact deltas: a round trip through numbering and application, whatever was changed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltanas.propose.hunks import (
    Excerpt,
    UnplacedHunkError,
    bare_hunks,
    compact_delta,
    number_hunks,
)
from deltanas.screen import apply_delta

LINES = st.lists(st.sampled_from([f"a{i} = {i}" for i in range(6)]), min_size=1, max_size=14)


def view(code: str) -> Excerpt:
    return Excerpt.of(code, frozenset(), hide_frozen=False)


def joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@settings(max_examples=300)
@given(LINES, LINES)
def test_a_numbered_compact_delta_gives_the_edited_source(before: list[str], after: list[str]):
    old, new = joined(before), joined(after)
    try:
        delta = compact_delta(view(old), new)
    except UnplacedHunkError:
        return
    if old == new:
        assert delta == ""
    else:
        numbered = number_hunks(view(old), delta)
        assert apply_delta(old, numbered) == new
        assert bare_hunks(numbered) == delta


def test_a_repeated_line_gets_the_context_that_makes_it_unique():
    before = "a = 1\nrelu()\nb = 2\nrelu()\n"
    delta = compact_delta(view(before), "a = 1\nrelu()\nb = 2\ngelu()\n")
    assert delta == "@@\n b = 2\n-relu()\n+gelu()\n"


def test_an_insertion_is_anchored_by_the_line_above_it():
    assert compact_delta(view("a = 1\nb = 2\n"), "a = 1\nc = 3\nb = 2\n") == "@@\n a = 1\n+c = 3\n"


def test_numbers_count_over_the_whole_source_when_lines_are_hidden():
    code = "import x\ndef learn():\n    pass\na = 1\n"
    hidden = Excerpt.of(code, frozenset({2, 3}), hide_frozen=True)
    assert hidden.text() == "import x\na = 1\n"
    assert "@@ -4,1 +4,1 @@" in number_hunks(hidden, "@@\n-a = 1\n+a = 2\n")


def test_a_hunk_cannot_span_hidden_lines():
    code = "import x\ndef learn():\n    pass\na = 1\n"
    hidden = Excerpt.of(code, frozenset({2, 3}), hide_frozen=True)
    with pytest.raises(UnplacedHunkError, match="no lines at or after shown line 1"):
        number_hunks(hidden, "@@\n import x\n-a = 1\n")


def test_a_change_of_hidden_lines_has_no_compact_delta():
    code = "import x\ndef learn():\n    pass\na = 1\n"
    hidden = Excerpt.of(code, frozenset({2, 3}), hide_frozen=True)
    with pytest.raises(UnplacedHunkError, match="does not show"):
        compact_delta(hidden, code.replace("pass", "return 1"))
