"""From what the jail found out to the row: who may join the pool, and whose loop trained."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from deltanas.records import (
    Attempt,
    Baseline,
    Candidate,
    Evaluation,
    Loop,
    Proposal,
    Recipe,
    Refused,
    Slot,
    Verdict,
)
from deltanas.search.judging import as_written, evaluation_of, judge

RECIPE = Recipe(lr=0.1, momentum=0.9, batch=4, image_size=8, flip=False)
PARENT = Baseline(baseline_id="p", family="f", code="old\n", recipe=RECIPE, proxy_accuracy=0.5)
GOOD = Evaluation(job_id="j", verdict=Verdict.TRAINED, proxy_accuracy=0.75, curve=(0.75,))


CANDIDATE = Candidate(attempt_id="c00-s001", baseline=PARENT, delta="@@\n", code="new\n")


def row(
    evaluation: Evaluation | None,
    outcome: Candidate | Refused = CANDIDATE,
    *,
    parent: Baseline = PARENT,
    loop: Loop = Loop.own,
    gain_admits: bool = False,
    novel: bool = True,
) -> Attempt:
    """Return the row of a novel candidate that was trained here."""
    return judge(
        Slot(cycle=0, number=1, dataset="digits", baseline=parent),
        Proposal(prompt="p", reply="r", prompt_tokens=1, output_tokens=1, seconds=0.5, seed=3),
        outcome,
        evaluation,
        reused_from=None,
        similarity=0.5,
        novel=novel,
        majority_rate=0.1,
        gate=0.4,
        gain_admits=gain_admits,
        loop=loop,
        count_tokens=len,
    )


def test_a_good_candidate_joins_the_pool() -> None:
    found = row(GOOD)
    assert (found.admitted, found.degenerate, found.overworked) == (True, False, False)
    assert found.gain == 0.25


@pytest.mark.parametrize(
    ("accuracy", "parents", "by_gate", "by_gain"),
    [
        (0.4, 0.5, True, True),  # worse than its parent, and not below the gate
        (0.3, 0.2, False, True),  # below it, and better than its parent
        (0.3, 0.3, False, False),
        (0.3, None, False, False),  # nobody knows whether it is better
        (0.1, 0.0, False, False),  # degenerate
    ],
)
def test_a_gain_may_count_as_much_as_the_gate(
    accuracy: float, parents: float | None, by_gate: bool, by_gain: bool
) -> None:
    found = replace(GOOD, proxy_accuracy=accuracy, curve=(accuracy,))
    parent = replace(PARENT, proxy_accuracy=parents)
    assert row(found, parent=parent).admitted is by_gate
    assert row(found, parent=parent, gain_admits=True).admitted is by_gain
    assert not row(found, parent=parent, gain_admits=True, novel=False).admitted


@pytest.mark.parametrize("mark", ["batch_dependent", "overworked"])
def test_a_marked_one_does_not_and_neither_does_its_equal(mark: str) -> None:
    found = row(replace(GOOD, **{mark: True}))
    assert (found.admitted, found.degenerate) == (False, True)
    assert found.overworked is (mark == "overworked")
    again = row(evaluation_of(found))
    assert (again.admitted, again.degenerate, again.overworked) == (False, True, found.overworked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"proxy_accuracy": 0.1, "curve": (0.1,)},
            "proxy accuracy 0.100, .* has 0.100; .*softmax",
        ),
        ({"batch_dependent": True}, "among other images"),
        ({"overworked": True}, "more CPU time"),
        ({"proxy_accuracy": 0.1, "curve": (0.1,), "reason": "known"}, "^known$"),
        ({}, "^$"),
    ],
)
def test_a_network_that_learned_nothing_is_told_so(changes: dict[str, Any], message: str) -> None:
    assert re.search(message, row(replace(GOOD, **changes)).reason)


def test_a_delta_that_applied_is_stored_as_git_takes_it_and_counted_as_it_was_written() -> None:
    found = row(GOOD)
    assert found.delta == ("--- a/baseline.py\n+++ b/baseline.py\n@@ -1 +1 @@\n-old\n+new\n")
    assert (found.delta_lines, found.delta_tokens) == (1, len("@@\n"))
    replied = replace(found, reply="So:\n```diff\n@@\n-old\n+new\n```\n")
    assert as_written(replied) == replace(replied, delta="@@\n-old\n+new\n")
    failed = replace(replied, delta="@@\n-odd\n", code="")
    assert as_written(failed) is failed


@pytest.mark.parametrize(("delta", "code"), [("@@\n", ""), ("", "new\n"), ("", "")])
def test_what_did_not_apply_or_is_no_delta_stays_as_it_was_written(delta: str, code: str) -> None:
    refused = Refused(verdict=Verdict.POLICY, reason="no", delta=delta, code=code)
    assert row(None, refused).delta == delta


@pytest.mark.parametrize("loop", ["trusted", "own"])
def test_the_row_says_whose_loop_trained(loop: str) -> None:
    assert row(GOOD, loop=loop).loop == loop
