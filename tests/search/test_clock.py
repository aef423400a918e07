"""The clock of a search: no moment is lost, and none counts twice."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from deltanas.search import clock
from deltanas.search.clock import Clock


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a second pass between two looks at the time, then two, then three, and so on."""
    times: Iterator[float] = iter([0.0, 1.0, 3.0, 6.0, 10.0])
    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=lambda: next(times)))


@pytest.mark.usefixtures("moments")
def test_every_second_belongs_to_one_stage_of_one_cycle() -> None:
    taken = Clock()
    taken.lap("generate")
    taken.lap("screen")
    taken.lap("generate")
    assert taken.take() == {"generate": 1.0 + 3.0, "screen": 2.0}
    taken.lap("record")
    assert taken.take() == {"record": 4.0}
