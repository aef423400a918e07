"""The parent believes nothing but logits: every other byte is checked, and none is trusted."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deltanas.evaluate import ImageData, load_data
from deltanas.evaluate.channel import (
    HEADER_CAP,
    PROBABILITIES,
    PROBE_CAP,
    Limits,
    Report,
    answer_rows,
    frame,
)
from deltanas.evaluate.score import score
from deltanas.records import Verdict
from tests.evaluate.networks import make_job

CLEAN = Report(
    ending="ended",
    exit_code=0,
    seconds=0.5,
    cpu_seconds=0.25,
    memory_bytes=2**20,
    output_bytes=0,
)
HEADER: dict[str, Any] = {"verdict": "trained", "reason": "", "parameters": 7, "macs": 9}
DIGITS = load_data("digits", seed=7)
LIMITS = Limits(timeout_s=9, memory_bytes=2**30, threads=1, max_parameters=1000, max_macs=1000)


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(10, dtype=np.float16)[labels]


def perfect(data: ImageData, epochs: int) -> bytes:
    blocks = [one_hot(data.val_labels)] * epochs + [one_hot(data.test_labels)] * min(epochs, 2)
    blocks.append(one_hot(data.val_labels[::2][:PROBE_CAP]))
    return b"".join(block.tobytes() for block in blocks)


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_accuracies_come_from_the_labels(epochs: int) -> None:
    job = make_job("", epochs=epochs)
    found = score(job, CLEAN, frame(HEADER, perfect(DIGITS, epochs)), DIGITS, LIMITS)
    assert found.verdict is Verdict.TRAINED
    assert found.curve == (1.0,) * epochs
    assert (found.proxy_accuracy, found.first_epoch_accuracy, found.test_accuracy) == (1, 1, 1)
    assert (found.parameters, found.macs) == (None, None)  # whatever it claims
    assert (found.seconds, found.cpu_seconds, found.memory_bytes) == (0.5, 0.25, 2**20)


def test_first_and_last_epoch_are_told_apart() -> None:
    wrong = one_hot((DIGITS.val_labels + 1) % 10), one_hot((DIGITS.test_labels + 1) % 10)
    right = one_hot(DIGITS.val_labels), one_hot(DIGITS.test_labels)
    payload = b"".join(
        block.tobytes() for block in (wrong[0], right[0], wrong[1], right[1], right[0][::2])
    )
    found = score(make_job("", epochs=2), CLEAN, frame(HEADER, payload), DIGITS, LIMITS)
    assert found.curve == (0.0, 1.0)
    assert (found.proxy_accuracy, found.first_epoch_accuracy, found.test_accuracy) == (1, 0, 1)


def test_always_the_same_answer_is_no_better_than_the_majority() -> None:
    job = make_job("")
    rows = sum(answer_rows(1, len(DIGITS.val_labels), len(DIGITS.test_labels)))
    answer = frame(HEADER, one_hot(np.full(rows, 3)).tobytes())
    found = score(job, CLEAN, answer, DIGITS, LIMITS)
    assert found.proxy_accuracy <= DIGITS.majority_rate("val")
    assert not found.batch_dependent


@pytest.mark.parametrize(("changed", "seen"), [(0, False), (1, False), (4, True), (150, True)])
def test_answers_that_change_in_other_company_are_seen(changed: int, seen: bool) -> None:
    logits = np.frombuffer(perfect(DIGITS, 1), np.float16).reshape(-1, 10).copy()
    logits[-150:] += 0.005  # rounding
    logits[660 : 660 + changed] *= 0.9
    found = score(make_job(""), CLEAN, frame(HEADER, logits.tobytes()), DIGITS, LIMITS)
    assert found.verdict is Verdict.TRAINED
    assert found.batch_dependent is seen


@pytest.mark.parametrize(
    ("claimed", "believed"), [(PROBABILITIES, PROBABILITIES), ("pay me", ""), ("", "")]
)
def test_of_what_a_trained_network_says_one_hint_is_believed(claimed: str, believed: str) -> None:
    answer = frame(HEADER | {"reason": claimed}, perfect(DIGITS, 1))
    found = score(make_job(""), CLEAN, answer, DIGITS, LIMITS)
    assert (found.verdict, found.reason) == (Verdict.TRAINED, believed)


def test_a_check_without_epochs_has_no_accuracy() -> None:
    found = score(make_job("", epochs=0), CLEAN, frame(HEADER), DIGITS, LIMITS)
    assert found.verdict is Verdict.TRAINED
    assert found.proxy_accuracy is None
    assert found.curve == ()
    assert (found.parameters, found.macs) == (7, 9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers_diverged(value: float) -> None:
    logits = np.frombuffer(perfect(DIGITS, 1), np.float16).copy()
    logits[-1] = value
    found = score(make_job(""), CLEAN, frame(HEADER, logits.tobytes()), DIGITS, LIMITS)
    assert found.verdict is Verdict.DIVERGED


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0",
        b"\0\0\0\0",
        frame(HEADER, b"short"),
        frame(HEADER, perfect(DIGITS, 1) + b"\0"),
        frame({**HEADER, "verdict": "infrastructure"}),
        frame({**HEADER, "verdict": "valid"}),
        frame({**HEADER, "verdict": ["trained"]}),
        frame({"verdict": "trained"}),
        (2**31).to_bytes(4, "big") + b"{}",
        len(b"[" * 60_000).to_bytes(4, "big") + b"[" * 60_000,
        len(b"\xff\xfe").to_bytes(4, "big") + b"\xff\xfe",
        frame({**HEADER, "reason": "x" * HEADER_CAP}, perfect(DIGITS, 1)),
    ],
)
def test_an_answer_that_is_not_exact_is_none(answer: bytes) -> None:
    found = score(make_job(""), CLEAN, answer, DIGITS, LIMITS)
    assert found.verdict is Verdict.KILLED
    assert found.proxy_accuracy is None
    assert found.parameters is None


@pytest.mark.parametrize(
    "claim",
    [
        {"parameters": -1},
        {"parameters": True},
        {"parameters": 1001},
        {"parameters": None},
        {"macs": 1.5},
        {"macs": 1001},
    ],
)
def test_sizes_that_cannot_be_end_a_check(claim: dict[str, Any]) -> None:
    found = score(make_job("", epochs=0), CLEAN, frame(HEADER | claim), DIGITS, LIMITS)
    assert found.verdict is Verdict.KILLED
    assert found.parameters is None


@given(answer=st.binary(max_size=200))
@example(answer=frame(HEADER)[:-1])
def test_no_bytes_break_the_judge(answer: bytes) -> None:
    assert score(make_job(""), CLEAN, answer, DIGITS, LIMITS).verdict is Verdict.KILLED


def test_a_refusal_keeps_its_reason_within_bounds() -> None:
    header = {"verdict": "shape", "reason": "y" * 5000, "parameters": None, "macs": None}
    found = score(make_job(""), CLEAN, frame(header), DIGITS, LIMITS)
    assert found.verdict is Verdict.SHAPE
    assert found.reason == "y" * 300


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        ({"ending": "timed_out", "exit_code": -9}, Verdict.TIMED_OUT, "stopped after 0.5 s"),
        ({"exit_code": -signal.SIGXCPU}, Verdict.TIMED_OUT, "0.2 s of CPU time"),
        ({"exit_code": -signal.SIGSEGV}, Verdict.KILLED, "killed by SIGSEGV"),
        ({"exit_code": -35}, Verdict.KILLED, "killed by signal 35"),  # a real-time signal
        ({"exit_code": 3}, Verdict.KILLED, "ended with status 3"),
        (
            {"ending": "flooded", "exit_code": -9, "output_bytes": 1001},
            Verdict.KILLED,
            "wrote more than 1,000 bytes",
        ),
    ],
)
def test_a_dead_process_counts_as_dead_whatever_it_wrote(
    change: dict[str, Any], verdict: Verdict, reason: str
) -> None:
    answer = frame(HEADER, perfect(DIGITS, 1))
    found = score(make_job(""), replace(CLEAN, **change), answer, DIGITS, LIMITS)
    assert found.verdict is verdict
    assert reason in found.reason
    assert json.dumps(found.curve) == "[]"
