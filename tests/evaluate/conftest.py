"""One warm executor for the whole room: starting one takes seconds, a job milliseconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deltanas.evaluate import Executor, ImageData, LocalExecutor, load_data


@pytest.fixture(scope="session")
def digits() -> ImageData:
    return load_data("digits", seed=7)


@pytest.fixture(scope="session")
def local_executor(digits: ImageData) -> Iterator[Executor]:
    with LocalExecutor(
        digits,
        workers=1,
        timeout_s=60,
        memory_gb=1,
        max_parameters=1_000_000,
        max_macs=20_000_000,
    ) as executor:
        yield executor
