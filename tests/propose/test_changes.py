"""Changes of a text: exact to the byte, and merges that lose nothing of either side."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deltanas.propose.changes import Change, changed, changes, hunks, merged

TEXTS = st.text("ab\n", max_size=24)  # few letters, so that lines come again
BASE = [f"line {n}" for n in range(30)]


@given(TEXTS, TEXTS)
def test_changes_made_give_the_other_text(before: str, after: str) -> None:
    found = changes(before, after)
    assert changed(before, found) == after
    assert not any(a.touches(b) for a, b in zip(found, found[1:], strict=False))


@given(TEXTS, TEXTS, TEXTS)
def test_a_merge_does_not_ask_which_side_is_which(base: str, one: str, other: str) -> None:
    assert merged(base, one, base) == one
    assert merged(base, one, one) == one
    assert merged(base, one, other) == merged(base, other, one)


@given(st.data())
def test_changes_apart_from_each_other_are_all_made_in_any_order(data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, 30), min_size=8, max_size=8, unique=True).map(sorted))
    spans = [*zip(cuts[::2], cuts[1::2], strict=True)]
    spans = [(start, stop) for start, stop in spans if stop - start > 1]  # a line is left between
    made = [Change(start, stop - 1, (f"new {start}",)) for start, stop in spans]
    base = "\n".join(BASE)
    sides = [changed(base, made[::2]), changed(base, made[1::2])]
    assert merged(base, *sides) == changed(base, made)
    for change in made:  # one after the other, from below, so that numbers hold
        assert f"new {change.start}" in changed(base, made).split("\n")


def test_sides_that_touch_conflict() -> None:
    base = "a\nb\nc\nd\n"
    assert merged(base, "a\nB\nc\nd\n", "a\nx\nc\nd\n") is None  # the same line
    assert merged(base, "a\nB\nc\nd\n", "a\nb\nC\nd\n") is None  # lines side by side
    assert merged(base, "a\nb\nx\nc\nd\n", "a\nb\ny\nc\nd\n") is None  # the same gap
    assert merged(base, "A\nb\nc\nd\n", "a\nb\nC\nd\n") == "A\nb\nC\nd\n"


def test_changes_near_each_other_share_a_hunk() -> None:
    made = [Change(0, 1, ("x",)), Change(3, 4, ()), Change(7, 7, ("y",))]
    assert [len(group) for group in hunks(made)] == [2, 1]
