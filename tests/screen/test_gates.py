"""From a proposal to a candidate, or to the first gate that refuses it."""

import pytest

from deltanas.archive.builtin_archive import source
from deltanas.records import Baseline, Candidate, Proposal, Recipe, Refused, Verdict
from deltanas.screen.gates import refuse_near_duplicate, screen_proposal
from deltanas.screen.novelty import NoveltyIndex

CODE = source("plain_cnn_bn")
RECIPE = Recipe(lr=0.1, momentum=0.9, batch=4, image_size=8, flip=False)
BASELINE = Baseline(baseline_id="b", family="f", code=CODE, recipe=RECIPE)
LINE = next(line for line in CODE.splitlines() if "kernel_size=3" in line)
DELTA = f"@@\n-{LINE}\n+{LINE.replace('bias=False', 'bias=True')}\n"


def proposal(reply: str, *, truncated: bool = False) -> Proposal:
    return Proposal(
        prompt="p",
        reply=reply,
        prompt_tokens=1,
        output_tokens=7,
        seconds=0.1,
        seed=1,
        truncated=truncated,
    )


def test_a_delta_that_passes_is_a_candidate_with_its_network():
    found = screen_proposal("c00-s000", proposal(DELTA), BASELINE, whole_network=False)
    assert isinstance(found, Candidate)
    assert found.delta == DELTA
    assert "bias=True" in found.code


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("no diff here", Verdict.NO_DELTA),
        (f"<think>\n{DELTA}</think>\nI would rather not.", Verdict.NO_DELTA),
        (f"<delta>\n-import torch\n+import numpy\n{DELTA}</delta>", Verdict.MALFORMED),
        ("@@\n-    not a line\n+    x\n", Verdict.MISAPPLIED),
        (f"@@\n-{LINE}\n+{LINE}(\n", Verdict.SYNTAX),
        (f"@@\n-{LINE}\n+        import os\n", Verdict.POLICY),
    ],
)
def test_the_first_gate_that_fails_names_its_verdict(reply: str, verdict: Verdict):
    found = screen_proposal("c00-s000", proposal(reply), BASELINE, whole_network=False)
    assert isinstance(found, Refused)
    assert found.verdict is verdict
    assert found.reason


def test_a_reply_that_was_cut_is_not_even_read():
    cut = proposal(DELTA, truncated=True)
    found = screen_proposal("c00-s000", cut, BASELINE, whole_network=False)
    assert isinstance(found, Refused)
    assert (found.verdict, found.reason) == (Verdict.TRUNCATED, "the reply was cut after 7 tokens")


def test_a_whole_network_is_a_candidate_without_a_delta():
    edited = CODE.replace("bias=False", "bias=True")
    found = screen_proposal("c00-s000", proposal(edited), BASELINE, whole_network=True)
    assert isinstance(found, Candidate)
    assert (found.delta, found.code) == ("", edited)


def test_a_near_duplicate_is_refused_with_its_likeness():
    known = NoveltyIndex(threshold=0.9)
    known.add(CODE, "b")
    candidate = screen_proposal("c00-s000", proposal(DELTA), BASELINE, whole_network=False)
    assert isinstance(candidate, Candidate)
    found = refuse_near_duplicate(candidate, known)
    assert isinstance(found, Refused)
    assert found.verdict is Verdict.NOT_NOVEL
    assert found.novelty is not None
    assert found.novelty >= 0.9
    assert found.reason.endswith("to b")
