from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltanas.tune import Pair, curate, split
from tests.tune.pairs import make_pair


@st.composite
def corpora(draw: st.DrawFn) -> list[Pair]:
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 5),
                st.sampled_from("abc"),
                st.sampled_from(["mnist", "svhn"]),
                st.sampled_from(["+x", "+y", "+z"]),
                st.one_of(st.none(), st.sampled_from([-0.1, 0.0, 0.02, 0.1, 0.3])),
            ),
            max_size=25,
        )
    )
    return [
        Pair(
            pair_id=f"p{number}",
            baseline_id=f"b{baseline}",
            family=family,
            dataset=dataset,
            prompt="x",
            answer=answer,
            gain=gain,
        )
        for number, (baseline, family, dataset, answer, gain) in enumerate(rows)
    ]


def choose(pairs: list[Pair], seed: int = 0, **changes: float) -> list[Pair]:
    defaults: dict[str, float] = {"limit": 100, "minimum_gain": 0.0, "per_baseline": 100}
    return curate(pairs, **(defaults | changes), rng=random.Random(seed))  # type: ignore[arg-type]


@settings(max_examples=50)
@given(corpora(), st.integers(1, 8), st.integers(1, 3), st.integers(0, 3))
def test_limits_gain_and_duplicates_hold(
    pairs: list[Pair], limit: int, per_baseline: int, seed: int
) -> None:
    chosen = choose(pairs, seed, limit=limit, minimum_gain=0.02, per_baseline=per_baseline)
    assert len(chosen) <= limit
    assert set(chosen) <= set(pairs)
    assert all(one.gain is None or one.gain >= 0.02 for one in chosen)
    assert max(Counter(one.baseline_id for one in chosen).values(), default=0) <= per_baseline
    assert len({(one.baseline_id, one.answer) for one in chosen}) == len(chosen)
    good = {one.baseline_id for one in pairs if one.gain is None or one.gain >= 0.02}
    assert len(chosen) >= min(limit, len(good))  # every baseline with a good pair has one to give


@settings(max_examples=50)
@given(corpora(), st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_order_of_the_corpus_does_not_matter(
    pairs: list[Pair], seed: int, order: random.Random
) -> None:
    shuffled = pairs.copy()
    order.shuffle(shuffled)
    assert choose(shuffled, seed, limit=6) == choose(pairs, seed, limit=6)


def test_datasets_take_turns_and_so_do_their_families() -> None:
    pairs = [
        make_pair(
            number,
            pair_id=f"{dataset}-{family}-{number}",
            baseline_id=f"{dataset}-{family}-{number}",
            dataset=dataset,
            family=family,
        )
        for dataset, count in [("mnist", 40), ("svhn", 4), ("digits", 10)]
        for family in ("ga", "rl")
        for number in range(count // 2 if family == "ga" else 2)
    ]
    chosen = choose(pairs, limit=12)
    assert Counter(one.dataset for one in chosen) == {"mnist": 4, "svhn": 4, "digits": 4}
    families = Counter((one.dataset, one.family) for one in chosen)
    assert set(families.values()) == {2}


def test_the_best_gains_come_first_and_unknown_ones_last() -> None:
    pairs = [make_pair(n, gain=gain) for n, gain in enumerate((0.1, None, 0.3, 0.2))]
    assert [one.gain for one in choose(pairs)] == [0.3, 0.2, 0.1, None]


def test_of_equal_answers_the_best_stays() -> None:
    pairs = [make_pair(n, baseline_id="b", answer="+y", gain=n / 10) for n in (1, 2)]
    assert [one.pair_id for one in choose(pairs)] == ["p2"]


def test_equal_answers_to_two_baselines_both_stay() -> None:
    assert len(choose([make_pair(1), make_pair(2, answer=make_pair(1).answer)])) == 2


def test_a_gain_that_is_not_a_number_is_left_out() -> None:
    assert choose([make_pair(1, gain=float("nan"))]) == []


def test_the_seed_decides_between_equal_gains() -> None:
    pairs = [make_pair(number) for number in range(20)]
    first = [one.pair_id for one in choose(pairs, 1, limit=5)]
    assert first == [one.pair_id for one in choose(pairs, 1, limit=5)]
    assert first != [one.pair_id for one in choose(pairs, 2, limit=5)]


@pytest.mark.parametrize("change", [{"limit": 0}, {"per_baseline": 0}])
def test_limits_below_one_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))}=0"):
        choose([make_pair(1)], **change)


def test_an_id_used_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="2 pairs have the id 'p1'; ids must be unique"):
        choose([make_pair(1), make_pair(1)])


@settings(max_examples=50)
@given(corpora(), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_split_keeps_every_baseline_on_one_side(
    pairs: list[Pair], share: float, seed: int
) -> None:
    train, held_out = split(pairs, share=share, rng=random.Random(seed))
    assert sorted(one.pair_id for one in train + held_out) == sorted(one.pair_id for one in pairs)
    sides = [{one.baseline_id for one in side} for side in (train, held_out)]
    assert not sides[0] & sides[1]
    baselines = len(sides[0] | sides[1])
    if baselines >= 2:
        assert sides[0]
        assert abs(len(sides[1]) - share * baselines) <= 1
        assert sides[1]
    else:
        assert held_out == []


def test_a_split_with_the_same_seed_hardly_moves_when_the_pool_grows() -> None:
    pairs = [make_pair(number) for number in range(120)]
    sides = []
    for size in range(60, 121, 20):
        _, held_out = split(pairs[:size], share=0.25, rng=random.Random(7))
        sides.append(
            {one.baseline_id for one in held_out} & {one.baseline_id for one in pairs[:60]}
        )
    assert all(len(old ^ new) <= 5 for old, new in pairwise(sides))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_a_share_outside_zero_and_one_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share is"):
        split([make_pair(1)], share=share, rng=random.Random(0))
