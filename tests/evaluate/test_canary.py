"""A bad network gets its verdict, a sick worker is replaced, and a sick machine is given up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from deltanas.evaluate import ImageData, LocalExecutor, SickMachineError
from deltanas.records import Evaluation, Verdict
from tests.evaluate.networks import make_job, network
from tests.evaluate.processes import descendants, lanes

SLOW = network(training="time.sleep(0.02)")
CRASH = network(training="os.kill(os.getpid(), signal.SIGSEGV)")
SILENCE = network(training="os._exit(0)")
HUNGER = network(training="bytearray(8 * 2**30)")
FALSE_CANARY = network(
    training="[os._exit(1) for frame, _ in __import__('traceback').walk_stack(None)"
    " if 'canary' in getattr(frame.f_locals.get('job'), 'job_id', '')]"
)
ENDLESS = network(training="time.sleep(60)")
BROKEN = network(forward="return x")


@pytest.fixture(scope="module")
def executor(digits: ImageData) -> Iterator[LocalExecutor]:
    sizes = {"max_parameters": 10**6, "max_macs": 10**7}
    with LocalExecutor(digits, workers=1, timeout_s=3, memory_gb=1, **sizes) as found:
        evaluate(found, network())  # warm
        yield found


def evaluate(executor: LocalExecutor, code: str, canary: str = "") -> Evaluation:
    (found,) = executor.map([replace(make_job(code), canary=canary)])
    return found


def own_lane(executor: LocalExecutor) -> list[int]:
    """Return the executor's processes; one that the room shares may be there too."""
    evaluate(executor, network())
    return max(lanes())


@pytest.mark.parametrize("canary", ["", network()])
@pytest.mark.parametrize(
    ("code", "verdict", "reason"),
    [
        (CRASH, Verdict.KILLED, "killed by SIGSEGV"),
        (SILENCE, Verdict.KILLED, "ended with status 0"),
        (HUNGER, Verdict.OUT_OF_MEMORY, "MemoryError"),
        (ENDLESS, Verdict.TIMED_OUT, "stopped after 3."),
    ],
)
def test_an_end_that_only_the_network_comes_to_is_its_own(
    executor: LocalExecutor, code: str, verdict: Verdict, reason: str, canary: str
) -> None:
    family = own_lane(executor)
    found = evaluate(executor, code, canary)
    assert found.verdict is verdict
    assert reason in found.reason
    assert own_lane(executor) == family


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (CRASH, "killed by SIGSEGV, but then the baseline failed too, killed: the process"),
        (HUNGER, "MemoryError"),
        (network(training="raise RuntimeError('CUDA error: unspecified')"), "CUDA error"),
    ],
)
def test_where_the_baseline_fails_too_the_worker_is_replaced_and_nothing_is_said_of_the_network(
    executor: LocalExecutor, code: str, reason: str
) -> None:
    zygote, worker = own_lane(executor)
    found = evaluate(executor, code, canary=CRASH)
    assert found.verdict is Verdict.INFRASTRUCTURE
    assert found.reason.startswith("none of 2 workers could tell: ")
    assert reason in found.reason
    assert found.proxy_accuracy is None
    after = own_lane(executor)
    assert after[0] == zygote
    assert after[1] != worker


def test_a_baseline_cannot_tell_that_it_is_the_canary(executor: LocalExecutor) -> None:
    assert evaluate(executor, FALSE_CANARY).verdict is Verdict.TRAINED
    assert evaluate(executor, CRASH, canary=FALSE_CANARY).verdict is Verdict.KILLED


@pytest.mark.parametrize("code", [network(), BROKEN])
def test_an_end_that_no_machine_brings_about_asks_for_no_canary(
    executor: LocalExecutor, code: str
) -> None:
    assert evaluate(executor, code, canary=CRASH).verdict in (Verdict.TRAINED, Verdict.SHAPE)


def test_a_network_that_fell_to_a_sick_worker_scores_as_if_nothing_had_been(
    executor: LocalExecutor,
) -> None:
    healthy = evaluate(executor, SLOW)
    zygote, worker = own_lane(executor)
    found: list[Evaluation] = []
    thread = threading.Thread(target=lambda: found.append(evaluate(executor, SLOW, SLOW)))
    thread.start()
    while worker in descendants(zygote):
        for child in descendants(worker):  # of the network, and then of its canary
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    thread.join()
    assert found[0].verdict is Verdict.TRAINED
    assert found[0].curve == healthy.curve
    assert own_lane(executor)[1] != worker


def test_three_failures_of_the_machine_in_a_row_end_the_work(executor: LocalExecutor) -> None:
    sick = replace(make_job(CRASH), canary=CRASH)
    jobs = [sick, sick, make_job(network()), sick, sick, replace(sick, job_id="third"), sick]
    finished: list[Verdict] = []
    with pytest.raises(SickMachineError, match=r"3 jobs in a row .* the last, third: none of 2"):
        finished.extend(found.verdict for found in executor.map(jobs))
    failed = Verdict.INFRASTRUCTURE
    assert finished == [failed, failed, Verdict.TRAINED, failed, failed]
    assert evaluate(executor, network()).verdict is Verdict.TRAINED
