"""One set of canaries and one warm executor for all attacks."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from deltanas.evaluate import ImageData, JailError, LocalExecutor, load_data
from deltanas.evaluate.channel import answer_rows
from deltanas.evaluate.jail.tiers import choose
from tests.evaluate.networks import make_job, network
from tests.hostile.canaries import Canaries
from tests.hostile.numbers import NUMBERS

TIMEOUT_S = 3
LIMITS: dict[str, int] = {"workers": 1, "memory_gb": 1, "max_parameters": 10**6, "max_macs": 10**7}


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """A few of the digits: enough to learn something in little time."""
    whole = load_data("digits", seed=7)
    return replace(
        whole,
        train_rows=whole.train_rows[:512],
        train_labels=whole.train_labels[:512],
        val_rows=whole.val_rows[:100],
        val_labels=whole.val_labels[:100],
        test_rows=whole.test_rows[:102],
        test_labels=whole.test_labels[:102],
    )


@pytest.fixture(scope="session")
def canaries() -> Iterator[Canaries]:
    found = Canaries()
    yield found
    found.close()


@pytest.fixture(scope="session")
def known(canaries: Canaries, digits: ImageData) -> dict[str, Any]:
    """What every attack is told: the canaries, the system calls, the size of an answer."""
    splits = (len(digits.val_labels), len(digits.test_labels))
    machine = platform.machine()
    return {
        **canaries.describe(),
        "numbers": NUMBERS[machine],
        "x86_64": machine == "x86_64",
        "splits": splits,
        "rows": sum(answer_rows(1, *splits)),
    }


def _executor(tier: str, data: ImageData) -> Iterator[LocalExecutor]:
    try:
        choose(tier)
    except JailError as error:
        pytest.skip(str(error))
    with LocalExecutor(data, timeout_s=TIMEOUT_S, jail=tier, **LIMITS) as executor:
        list(executor.map([make_job(network())]))  # now its processes are there
        yield executor


@pytest.fixture(scope="module")  # other rooms count the zygotes that are there
def strong(canaries: Canaries, digits: ImageData) -> Iterator[LocalExecutor]:
    yield from _executor("strong", digits)


@pytest.fixture(scope="module")  # other rooms count the zygotes that are there
def noopen(canaries: Canaries, digits: ImageData) -> Iterator[LocalExecutor]:
    yield from _executor("noopen", digits)


@pytest.fixture(scope="module")  # other rooms count the zygotes that are there
def weak(canaries: Canaries, digits: ImageData) -> Iterator[LocalExecutor]:
    yield from _executor("weak", digits)
