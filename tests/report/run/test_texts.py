"""Texts of a page: nothing is lost in packing, colours fit their lines, edits give the delta."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deltanas.report.run.texts import LONGEST, Texts, edits

LINES = st.lists(st.sampled_from(["a", "b", "", "\u2028x", "\ud800", "def f(): return 'x'"]))
TEXT = LINES.map("\n".join)


def text_of(texts: Texts, runs: list[int]) -> str:
    """Put a text together as the page's script does."""
    lines = texts.packed()["lines"]
    pairs = zip(runs[::2], runs[1::2], strict=True)
    return "\n".join(lines[start + step] for start, length in pairs for step in range(length))


@given(st.lists(TEXT, max_size=4))
def test_packed_texts_are_what_they_were(given_texts: list[str]) -> None:
    texts = Texts()
    runs = [texts.add(text, coloured=True) for text in given_texts]
    assert [text_of(texts, each) for each in runs] == given_texts
    packed = texts.packed()
    for line, mask in zip(packed["lines"], packed["masks"], strict=True):
        assert len(mask) <= len(line)


@given(TEXT, TEXT)
def test_edits_turn_one_text_into_the_other(before: str, after: str) -> None:
    old, new = before.split("\n"), after.split("\n")
    for start, end, new_start, new_end in reversed(edits(before, after)):
        old[start:end] = new[new_start:new_end]
    assert old == new


def test_a_shared_network_costs_little() -> None:
    texts = Texts()
    code = "".join(f"x{n} = {n}\n" for n in range(50))
    assert texts.add(code) == [0, 51]
    assert texts.add(code.replace("x7 = 7", "y")) == [0, 7, 51, 1, 8, 43]


def test_colours_follow_the_syntax() -> None:
    texts = Texts()
    texts.add("def f(x): return 'a' + 1  # no", coloured=True)
    texts.add("return " + "x" * LONGEST, coloured=True)
    assert texts.packed()["masks"] == ["kkk f     kkkkkk sss   n  cccc", ""]
