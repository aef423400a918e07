"""Assembled replies: the right network or a refusal, and never a draft."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltanas.screen import DeltaError, PolicyError, apply_delta, check_policy, extract_delta
from deltanas.screen.network import extract_network
from tests.fuzz.mangling import STEMS, known_edit
from tests.fuzz.replies import assemble, thought

SEEDS = 5  # edits of a network: one is the answer, those that differ are drafts
QUICK, MANY = 200, 10_000  # replies of each of the two kinds
KINDS = pytest.mark.parametrize("whole", [False, True], ids=["delta", "network"])


def read(before: str, reply: str, *, whole: bool) -> str | None:
    """Return the network that a reply stands for, or None where it is refused."""
    try:
        result = extract_network(reply, before) if whole else apply_delta(before, reply)
        check_policy(before, result)  # two networks in one text go no further
        assert whole or apply_delta(before, extract_delta(reply)) == result
    except (DeltaError, PolicyError):
        return None
    return result


def check(whole: bool, stem: str, seed: int, rng: Random) -> None:
    before, delta, after = known_edit(stem, seed, 1 + seed % 3)
    others = [known_edit(stem, other, 1 + other % 3) for other in range(SEEDS)]
    drafts = [other[2 if whole else 1] for other in others if other[2] != after]
    tag = "nn" if whole else "delta"
    reply, sure = assemble(after if whole else delta, drafts, tag, rng, prose_may_stand=not whole)
    found = read(before, reply, whole=whole)
    assert found == after or (found is None and not sure), reply
    assert read(before, thought(drafts, tag, rng), whole=whole) is None


def run(examples: int, whole: bool) -> None:
    stems, seeds = st.sampled_from(STEMS), st.integers(0, SEEDS - 1)
    draws = st.integers(0, 2**32).map(Random)
    settings(max_examples=examples)(given(st.just(whole), stems, seeds, draws)(check))()


@KINDS
def test_assembled_replies(whole: bool) -> None:
    run(QUICK, whole)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@KINDS
def test_many_assembled_replies(whole: bool) -> None:
    run(MANY, whole)
