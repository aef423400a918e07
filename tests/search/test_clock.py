"""The clock of a search: no moment is lost, and none counts twice."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from deltanas.records import Stage
from deltanas.search import clock as module
from deltanas.search.clock import Clock


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a second pass between two looks at the time, then two, then three, and so on."""
    times: Iterator[float] = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0, 21.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(times)))


@pytest.mark.usefixtures("moments")
def test_every_second_belongs_to_one_stage_of_one_cycle() -> None:
    clock = Clock()  # at 0
    with clock.stage(Stage.generate), clock.stage(Stage.screen):  # from 1, and from 3 to 6
        pass
    # the first to 10
    assert clock.take() == {Stage.record: 1.0 + 5.0, Stage.generate: 2.0 + 4.0, Stage.screen: 3.0}
    assert clock.take() == {Stage.record: 6.0}
