"""A candidate that trains itself: honest ones pass, and none learns for longer without a mark."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deltanas.evaluate import ImageData, LocalExecutor
from deltanas.records import Evaluation, Verdict
from tests.evaluate.networks import PARAMETERS, RECIPE, make_job, network
from tests.hostile.conftest import LIMITS

SMALL_BATCHES = replace(RECIPE, batch=4)  # so many steps that they cost more than the fork

STEP = """
def step(self, inputs, labels):
    self.optimizer.zero_grad()
    loss = self.criteria(self(inputs), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(self.parameters(), 3)
    self.optimizer.step()
"""
HONEST = "for inputs, labels in train_data: step(self, inputs, labels)"


def learner(*lines: str) -> str:
    """Return a network whose `learn` holds these lines."""
    learn = "def learn(self, train_data):\n" + textwrap.indent("\n".join(lines), "    ")
    return STEP + network() + "\n" + textwrap.indent(learn, "    ") + "\n"


def evaluate(executor: LocalExecutor, code: str, *, loop: str = "own") -> Evaluation:
    job = replace(make_job(code, recipe=SMALL_BATCHES), loop=loop)
    (found,) = executor.map([job])
    return found


@pytest.fixture(scope="module")
def strong(digits: ImageData) -> Iterator[LocalExecutor]:
    """An executor that waits: on a busy machine, CPU time counts and wall time does not."""
    with LocalExecutor(digits, timeout_s=60, jail="strong", **LIMITS) as executor:
        yield executor


@pytest.fixture(scope="module")
def honest(strong: LocalExecutor) -> Evaluation:
    found = evaluate(strong, learner(HONEST))
    assert found.verdict is Verdict.TRAINED, found.reason
    return found


def test_an_honest_loop_learns_as_the_trusted_one_and_is_not_marked(
    strong: LocalExecutor, honest: Evaluation
) -> None:
    trusted = evaluate(strong, learner(HONEST), loop="trusted")
    assert not honest.overworked
    assert honest.curve == trusted.curve  # the same steps on the same batches
    assert honest.parameters == PARAMETERS


@pytest.mark.parametrize(
    "lines",
    [
        ("for _ in range(3):", f"    {HONEST}"),
        (
            "seen = list(train_data)",
            "for _ in range(4):",
            "    for inputs, labels in seen: step(self, inputs, labels)",
        ),
        (
            "import resource, time",
            "time.process_time = time.perf_counter = lambda: 0.0",
            "resource.getrusage = lambda who: None",
            "for _ in range(3):",
            f"    {HONEST}",
        ),
        (
            "data = train_data.data",  # not by the batches that it is given
            "for start in list(range(0, 508, 4)) * 3:",
            "    images = data.prepare(data.train_rows[start : start + 4], train_data.recipe)",
            "    step(self, images, data.train_labels[start : start + 4])",
        ),
    ],
    ids=["replays", "caches", "stops_the_clocks", "helps_itself"],
)
def test_who_learns_for_longer_is_marked(strong: LocalExecutor, lines: tuple[str, ...]) -> None:
    found = evaluate(strong, learner(*lines))
    assert found.verdict is Verdict.TRAINED, found.reason
    assert found.overworked


@pytest.mark.parametrize(
    "lines",
    [
        ("for inputs, labels in train_data: step(self, inputs, labels.zero_())",),
        ("return",),
        ("train_data.data.train_labels.zero_()", HONEST),
        (
            HONEST,
            "object.__setattr__(train_data.data, 'val_rows', train_data.data.train_rows[:100])",
        ),
    ],
    ids=["zeroes_labels", "returns_early", "zeroes_all_labels", "answers_for_others"],
)
def test_what_a_loop_does_to_its_data_harms_its_own_score_only(
    strong: LocalExecutor, digits: ImageData, honest: Evaluation, lines: tuple[str, ...]
) -> None:
    found = evaluate(strong, learner(*lines))
    assert found.verdict is Verdict.TRAINED, found.reason
    assert found.proxy_accuracy <= 0.3 < honest.proxy_accuracy
    assert not found.overworked
    assert evaluate(strong, learner(HONEST)).curve == honest.curve


@pytest.mark.parametrize(
    ("lines", "verdict", "reason"),
    [
        (("raise ValueError('no')",), Verdict.SHAPE, "learn fails: ValueError: no (line "),
        (("train_data.data.val_labels",), Verdict.SHAPE, "no attribute 'val_labels'"),
        (("os._exit(0)",), Verdict.KILLED, "ended with status 0 before it answered"),
        (("self.layers[1].weight.data.fill_(float('nan'))",), Verdict.DIVERGED, "NaN"),
        (("self.forward = lambda x: x",), Verdict.SHAPE, "to shape (100, 1, 8, 8)"),
        (("train_data.data.pixels = None",), Verdict.SHAPE, "cannot assign to field"),
    ],
)
def test_a_loop_that_fails_gets_a_verdict(
    strong: LocalExecutor, lines: tuple[str, ...], verdict: Verdict, reason: str
) -> None:
    found = evaluate(strong, learner(*lines))
    assert found.verdict is verdict, found.reason
    assert reason in found.reason
    assert found.proxy_accuracy is None
