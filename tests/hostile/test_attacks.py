"""Every attack ends in the verdict that it should, leaves no trace, and troubles no other.

Evidence is looked for outside: files, listeners, processes, the environment, the parent's memory.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import Any

import pytest

from deltanas.evaluate import LocalExecutor
from deltanas.records import Evaluation, Verdict
from tests.evaluate.networks import make_job, network
from tests.evaluate.processes import descendants
from tests.hostile.attack import Attack
from tests.hostile.attacks import ATTACKS, files
from tests.hostile.canaries import Canaries

ON_X86 = ("machine_code_in_own_memory", "system_call_of_32_bits", "system_call_of_x32")
SLACK = 0.02  # accuracy: what a network may gain by chance


def evaluate(executor: LocalExecutor, code: str) -> Evaluation:
    (found,) = executor.map([make_job(code)])
    return found


def by_name(attack: Attack) -> str:
    return attack.name


@pytest.fixture(scope="module")
def honest(strong: LocalExecutor) -> Evaluation:
    found = evaluate(strong, network())
    assert found.verdict is Verdict.TRAINED, found.reason
    return found


def check(
    executor: LocalExecutor, attack: Attack, canaries: Canaries, known: dict[str, Any]
) -> Evaluation:
    """Run one attack and look for what it left behind."""
    if attack.name in ON_X86 and not known["x86_64"]:
        pytest.skip("machine code of another processor")
    family = descendants(os.getpid())
    found = evaluate(executor, attack.code(known))
    assert canaries.traces(found.reason) == []
    assert set(descendants(os.getpid())) <= set(family)
    return found


@pytest.mark.parametrize("attack", ATTACKS, ids=by_name)
def test_an_attack_gets_its_verdict_and_nothing_else(
    strong: LocalExecutor,
    attack: Attack,
    honest: Evaluation,
    canaries: Canaries,
    known: dict[str, Any],
) -> None:
    found = check(strong, attack, canaries, known)
    assert found.verdict is attack.expected, found.reason
    assert re.search(attack.reason, found.reason), found.reason
    if found.proxy_accuracy is not None:
        assert found.proxy_accuracy <= honest.proxy_accuracy + SLACK
    after = evaluate(strong, network())
    assert (after.curve, after.parameters) == (honest.curve, honest.parameters)


@pytest.mark.parametrize("attack", files.ATTACKS, ids=by_name)
def test_without_landlock_files_are_out_of_reach_too(
    noopen: LocalExecutor, attack: Attack, canaries: Canaries, known: dict[str, Any]
) -> None:
    check(noopen, attack, canaries, known)


@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if attack.harms_when_weak], ids=by_name
)
def test_the_same_attack_leaves_a_trace_without_the_layers(
    weak: LocalExecutor, attack: Attack, canaries: Canaries, known: dict[str, Any]
) -> None:
    found = evaluate(weak, attack.code(known))
    assert canaries.traces(found.reason) or found.verdict is Verdict.TIMED_OUT


def test_there_are_enough_attacks_in_every_phase() -> None:
    phases = Counter(attack.phase for attack in ATTACKS)
    assert len(ATTACKS) >= 100
    assert set(phases) == {"import", "init", "setup", "learn", "training", "evaluation"}
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
