from __future__ import annotations

import pytest

from deltanas.screen.duplicates import Duplicates


def test_equal_trees_are_found_whatever_their_layout() -> None:
    known = Duplicates()
    known.add("x = 1\n", "one")
    known.add("x = 2\n", "two")
    assert known.find("x  =  (1)  # one\n\n") == "one"
    assert known.find("x = 3\n") is None
    assert len(known) == 2


def test_the_first_id_stands() -> None:
    known = Duplicates()
    known.add("x = 1\n", "first")
    known.add("x  = 1\n", "second")
    assert known.find("x = 1\n") == "first"
    assert len(known) == 1


def test_code_that_does_not_parse_is_no_duplicate_but_an_error() -> None:
    with pytest.raises(SyntaxError, match="never closed"):
        Duplicates().find("x = (\n")
