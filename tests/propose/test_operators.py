"""Deltas from earlier deltas: what each operator makes of them, and when it makes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import pytest

from deltanas.propose.changes import changes
from deltanas.propose.mixed import MixedProposer
from deltanas.propose.operators import OPERATORS, drop, recombination, transplant, transplanted
from deltanas.propose.proposer import RandomEditProposer
from deltanas.records import Attempt, Baseline, Request, Slot, Verdict
from deltanas.screen import apply_delta
from tests.fakes import RECIPE, ScriptedProposer
from tests.propose.texts import ATTRIBUTES, SEQUENTIAL

MakeAttempt = Callable[..., Attempt]

GELU = ("x = F.relu(self.conv2(x))", "x = F.gelu(self.conv2(x))")
NET = ATTRIBUTES
KERNEL = NET.replace("in_shape[1], 16, 3, padding=1", "in_shape[1], 16, 5, padding=2")
SMOOTH = NET.replace(*GELU)
OWN = Baseline(baseline_id="own", family="f", code=NET, recipe=RECIPE)
OTHER = Baseline(baseline_id="other", family="f", code=SEQUENTIAL, recipe=RECIPE)


@pytest.fixture
def child(make_attempt: MakeAttempt) -> MakeAttempt:
    """Return a factory of rows: `child(code, gain)` of the baseline `own` unless told."""

    def make(code: str, gain: float | None = 0.1, **more: object) -> Attempt:
        fields = {"parent_id": "own", "delta": f"to {hash(code)}", "code": code, "gain": gain}
        return make_attempt(**(fields | more))

    return make


def request(known: Sequence[Attempt], *, seed: int = 0, baseline: Baseline = OWN) -> Request:
    slot = Slot(cycle=1, number=0, dataset="digits", baseline=baseline)
    return Request(slot=slot, seed=seed, known=tuple(known), parents=(OWN, OTHER))


def test_two_good_deltas_are_merged(child: MakeAttempt) -> None:
    rows = [child(KERNEL), child(SMOOTH)]
    both = KERNEL.replace(*GELU)
    assert recombination(request(rows), Random(0)) == both
    assert recombination(request([*rows, child(both, -0.1)]), Random(0)) is None  # known already
    for bad in (
        child(SMOOTH, -0.1),
        child(SMOOTH, degenerate=True),
        child(SMOOTH, dataset="mnist"),
        child(SMOOTH, parent_id="other"),
        child(SMOOTH, None, verdict=Verdict.SHAPE, proxy_accuracy=None),
        child(KERNEL.replace("padding=2", "padding=0")),  # in conflict with the other
    ):
        assert recombination(request([rows[0], bad]), Random(0)) is None


@pytest.mark.parametrize("gain", [0.1, -0.1, None])
def test_a_delta_loses_one_hunk(gain: float | None, child: MakeAttempt) -> None:
    more = {"verdict": Verdict.SHAPE, "proxy_accuracy": None} if gain is None else {}
    both = child(KERNEL.replace(*GELU), gain, **more)
    assert {drop(request([both]), Random(seed)) for seed in range(20)} == {KERNEL, SMOOTH}
    assert drop(request([both, child(KERNEL)]), Random(0)) == SMOOTH  # not what is known
    assert drop(request([child(SMOOTH, gain, **more)]), Random(0)) is None  # it has one hunk
    broken = replace(both, verdict=Verdict.INFRASTRUCTURE)
    assert drop(request([broken]), Random(0)) is None


def test_a_good_delta_of_another_network_is_taken_over(child: MakeAttempt) -> None:
    pool = ("nn.AdaptiveAvgPool2d((6, 6))", "nn.AdaptiveMaxPool2d((6, 6))")
    row = child(SEQUENTIAL.replace(*pool), parent_id="other")
    assert transplant(request([row]), Random(0)) is None  # no such line there
    near = replace(OWN, code=SEQUENTIAL.replace("kernel_size=2", "kernel_size=3"))
    assert transplant(request([row], baseline=near), Random(0)) == near.code.replace(*pool)
    for bad in (
        replace(row, gain=0.0),
        replace(row, parent_id="own"),  # its own, not another's
        replace(row, parent_id="unknown"),
    ):
        assert transplant(request([bad], baseline=near), Random(0)) is None
    elsewhere = replace(row, parent_id="own", dataset="mnist", code=SMOOTH)
    assert transplant(request([elsewhere]), Random(0)) == SMOOTH  # what helped on another set


SOURCE = "a\nb\nc\nd\ne\n"


@pytest.mark.parametrize(
    ("after", "target", "expected"),
    [
        ("a\nB\nc\nd\ne\n", "x\nb\ny\n", "x\nB\ny\n"),  # the line stands there once
        ("a\nB\nc\nd\ne\n", "x\ny\n", None),  # nowhere
        ("a\nB\nc\nd\ne\n", "b\na\nb\nc\n", "b\na\nB\nc\n"),  # twice: the lines beside it tell
        ("a\nB\nc\nd\ne\n", "b\nx\nb\n", None),  # twice, and they are not there
        ("a\nb\nn\nc\nd\ne\n", "x\nb\nc\n", "x\nb\nn\nc\n"),  # between the same two lines
        ("a\nb\nn\nc\nd\ne\n", "x\nb\nx\nc\n", None),  # they do not stand together
        ("a\nB\nc\nD\ne\n", "d\nx\nb\n", "D\nx\nB\n"),  # each for itself, in any order
        ("a\nB\nc\nD\ne\n", "b\nd\n", None),  # side by side: who knows
        ("a\nB\nc\nD\ne\n", "b\nx\n", None),  # all or none
        ("a\ne + 1\nc\nd\ne\n", "x\nb\n", None),  # the source knows e, the target does not
        ("a\ne + 1\nc\nd\ne\n", "b\nx\ne\n", "e + 1\nx\ne\n"),
    ],
)
def test_when_a_change_fits_another_text(after: str, target: str, expected: str | None) -> None:
    assert transplanted(target, SOURCE, changes(SOURCE, after)) == expected


def test_what_may_not_be_edited_is_no_place() -> None:
    target = "def learn():\n    b\n    x\n"
    made = changes("    a\n    b\n    c\n", "    a\n    B\n    c\n")
    assert transplanted(target, "    a\n    b\n    c\n", made) is None
    made = changes("    b\n    x\n", "    b\n    n\n    x\n")
    assert transplanted(target, "    b\n    x\n", made) is None


def test_the_share_of_operators_is_kept_and_the_rest_is_the_main_proposers(
    child: MakeAttempt,
) -> None:
    main = ScriptedProposer(lambda request: "main")
    mixed = MixedProposer(main, share=0.5)
    both = child(KERNEL.replace(*GELU), -0.1)
    rows = [child(KERNEL), child(NET.replace("_shape[0])", "_shape[0], False)")), both]
    asked = [request(rows, seed=seed) for seed in range(200)]
    told: list[int] = []
    made = mixed.propose(asked, lambda: told.append(1))
    assert len(told) == 200 - len(main.asked)  # the main one tells of its own
    assert [one.seed for one in made] == list(range(200))
    operated = [one for one in made if one.writer]
    assert {one.writer for one in operated} == {"recombination", "drop"}
    assert 70 < len(operated) < 130
    for one in operated:
        assert apply_delta(NET, one.reply)
        assert (one.prompt, one.prompt_tokens, one.output_tokens) == ("", 0, 0)
    again = mixed.propose(asked[::-1])  # by its own seed, whoever is asked beside it
    assert [(one.reply, one.writer) for one in again[::-1]] == [
        (one.reply, one.writer) for one in made
    ]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_what_operators_cannot_do_is_the_main_proposers(share: float, child: MakeAttempt) -> None:
    mixed = MixedProposer(RandomEditProposer(), share=share)
    nothing, some = request([]), request([child(KERNEL), child(SMOOTH)])
    first, second = mixed.propose([nothing, some])
    assert first.writer == "random_edit"
    assert (second.writer in OPERATORS) is (share == 1.0)
    failed = replace(some, failed=some.known[:1])
    assert mixed.propose([failed])[0].writer == "random_edit"  # only an LLM mends
    assert not mixed.mends(failed)
    assert mixed.fits(OWN, "digits")
    assert mixed.count_tokens("a b") is None
