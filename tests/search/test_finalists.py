"""Finalists: spread over the whole proxy ranking of every dataset, or the best alone."""

from __future__ import annotations

import pytest

from deltanas.search.finalists import Scored, stratify, top

DIGITS = [Scored(f"d{i}", "digits", i / 10) for i in range(9)]
SVHN = [Scored(f"s{i}", "svhn", 0.9 + i / 100) for i in range(3)]


def test_ranks_are_evenly_spaced_with_both_ends() -> None:
    assert stratify(DIGITS, 5) == ["d0", "d2", "d4", "d6", "d8"]


def test_accuracies_do_not_matter_beyond_their_order() -> None:
    bunched = [one._replace(proxy_accuracy=one.proxy_accuracy**8) for one in reversed(DIGITS)]
    assert stratify(bunched, 4) == stratify(DIGITS, 4)


def test_every_dataset_gives_its_share_over_its_own_ranking() -> None:
    assert stratify([*SVHN, *DIGITS], 4) == ["d0", "d8", "s0", "s2"]


def test_a_small_dataset_gives_all_and_others_the_rest() -> None:
    assert stratify([*DIGITS, *SVHN], 8) == ["d0", "d2", "d4", "d6", "d8", "s0", "s1", "s2"]


@pytest.mark.parametrize(
    ("n", "chosen"),
    [(0, []), (1, ["s1"]), (3, ["s0", "s1", "s2"]), (20, ["s0", "s1", "s2"])],
)
def test_none_the_middle_one_or_all(n: int, chosen: list[str]) -> None:
    assert stratify(SVHN, n) == chosen


def test_top_takes_the_best_over_all_datasets() -> None:
    assert top([*DIGITS, *SVHN], 4) == ["s2", "s1", "s0", "d8"]


def test_ties_are_broken_by_id_whatever_the_order() -> None:
    tied = [Scored(name, "digits", 0.5) for name in "cab"]
    assert stratify(tied, 2) == ["a", "c"]
    assert top(tied, 2) == ["a", "b"]
    assert stratify([], 3) == top([], 3) == []
