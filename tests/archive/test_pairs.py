"""Improving pairs: close, better, each once, in the order of the seed."""

from __future__ import annotations

from random import Random

import pytest

from deltanas.archive.lemur import LemurArchive
from deltanas.archive.pairs import PER_BASELINE, ArchivePair, improving_pairs
from tests.lemur_fixtures import NETWORK, Trials, trial

BODY = "".join(f"        self.layer{i} = nn.Linear(8, 8)\n" for i in range(40))


@pytest.fixture
def networks() -> dict[str, str]:
    far = NETWORK.replace("WIDTH", "10)\n" + BODY.rstrip(")\n"))
    return {
        **{f"ga-{i}": NETWORK.replace("WIDTH", str(10 + i)) for i in range(6)},
        "ga-9": far,
        "rl-a": NETWORK.replace("WIDTH", "20"),
    }


@pytest.fixture
def statistics() -> Trials:
    accuracies = {**{f"ga-{i}": 0.3 + 0.05 * i for i in range(6)}, "ga-9": 0.9, "rl-a": 0.9}
    return {
        ("cifar-10", 1, name): [trial(accuracy, "norm_32")]
        for name, accuracy in accuracies.items()
    }


def pairs(lemur: LemurArchive, count: int, seed: int = 0) -> list[ArchivePair]:
    pool = lemur.baselines(dataset="cifar10")
    return list(improving_pairs(lemur, pool, "cifar10", count, Random(seed), lambda _: True))


def test_the_second_network_is_better_close_and_of_the_family(lemur: LemurArchive) -> None:
    found = pairs(lemur, 100)
    assert found
    for pair in found:
        assert pair.baseline.family == "ga"
        assert pair.better_id != "ga-9"  # the best of all is too far from every other
        assert pair.gain == pytest.approx(
            0.05 * (int(pair.better_id[-1]) - int(pair.baseline.baseline_id[-1]))
        )
        assert pair.gain > 0


def test_no_pair_comes_twice_and_no_baseline_too_often(lemur: LemurArchive) -> None:
    found = [(pair.baseline.baseline_id, pair.better_id) for pair in pairs(lemur, 100)]
    assert len(set(found)) == len(found)
    starts = [start for start, _ in found]
    assert max(starts.count(start) for start in starts) <= PER_BASELINE


def test_as_many_come_as_are_asked_for_and_the_seed_decides_which(lemur: LemurArchive) -> None:
    assert len(pairs(lemur, 3)) == 3
    assert pairs(lemur, 4) == pairs(lemur, 4)
    assert pairs(lemur, 4) != pairs(lemur, 4, seed=1)


def test_what_the_llm_cannot_take_is_left_out(lemur: LemurArchive) -> None:
    pool = lemur.baselines(dataset="cifar10")
    assert list(improving_pairs(lemur, pool, "cifar10", 9, Random(0), lambda _: False)) == []
