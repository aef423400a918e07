"""Mangled replies: the right file or an error of the room, at once, and never another file."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltanas.screen import DeltaError, PolicyError, apply_delta, check_policy, extract_delta
from deltanas.screen.network import extract_network
from tests.fuzz.mangling import STEMS, fence, keep, known_edit, mutilate, readings, tag

QUOTES = ("'''", '"""')
LIMIT_S = 0.1  # of processor time, for one call
QUICK, MANY = 200, 4000  # examples of each of the five tests

edits = st.builds(known_edit, st.sampled_from(STEMS), st.integers(0, 9), st.integers(1, 3))
draws = st.integers(0, 2**32).map(Random)


def in_time(call: Callable[[], str | None]) -> str | None:
    """Return what the call returns, or None for an error of its room."""
    spent = []
    for _ in range(3):  # a collection of garbage may fall into one of them
        began = time.thread_time()
        try:
            result = call()
        except (DeltaError, PolicyError):
            result = None
        spent.append(time.thread_time() - began)
        if spent[-1] < LIMIT_S:
            return result
    raise AssertionError(f"the call took {min(spent):.3f} s of processor time")


def check_kept(edit: tuple[str, str, str], rng: Random) -> None:
    before, delta, after = edit
    reply = keep(delta, rng)
    assert in_time(lambda: apply_delta(before, reply)) == after, reply
    assert in_time(lambda: apply_delta(before, extract_delta(reply))) == after, reply


def check_doubled(edit: tuple[str, str, str], rng: Random) -> None:
    """A delta that is there twice is one; of two that differ, taking one would drop edits."""
    before, delta, after = edit
    both = rng.choice((fence, tag))
    reply = "".join(f"{both(delta, rng)}\n" for _ in range(2))
    assert in_time(lambda: apply_delta(before, reply)) == after, reply
    other = delta.replace("@@\n", "@@\n+# other\n", 1)
    reply = "".join(f"{both(each, rng)}\n" for each in rng.sample((delta, other), 2))
    assert in_time(lambda: apply_delta(before, reply)) is None, reply


def check_mutilated(edit: tuple[str, str, str], rng: Random) -> None:
    before, delta, _ = edit
    reply = mutilate(keep(delta, rng), rng, rng.randint(0, 4))
    found = in_time(lambda: extract_delta(reply))
    if found is None:
        return
    result = in_time(lambda: apply_delta(before, found))
    assert result == in_time(lambda: apply_delta(before, reply)), reply
    assert result is None or result in readings(before, found), found


def check_screened(edit: tuple[str, str, str], rng: Random) -> None:
    before, _, after = edit
    code = mutilate(after, rng, rng.randint(1, 4))
    in_time(lambda: check_policy(before, code))


def check_network_reply(edit: tuple[str, str, str], rng: Random) -> None:
    before, _, after = edit
    text = after if rng.random() < 0.7 else f"text = {rng.choice(QUOTES)}\n{after}"
    reply = mutilate(f"It is:\n```python\n{text}```\n", rng, rng.randint(1, 4))
    code = in_time(lambda: extract_network(reply, before))
    if code is not None:
        in_time(lambda: check_policy(before, code))


CHECKS = pytest.mark.parametrize(
    "check", [check_kept, check_doubled, check_mutilated, check_screened, check_network_reply]
)


@CHECKS
def test_mangled_texts(check: Callable[[tuple[str, str, str], Random], None]) -> None:
    settings(max_examples=QUICK)(given(edits, draws)(check))()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@CHECKS
def test_many_mangled_texts(check: Callable[[tuple[str, str, str], Random], None]) -> None:
    settings(max_examples=MANY)(given(edits, draws)(check))()
