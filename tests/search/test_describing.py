"""What a run tells of itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deltanas.config.choices import TrackerName
from deltanas.config.schema import Config
from deltanas.record.store import RunStore
from deltanas.records import Attempt
from deltanas.report.tracker import NullTracker
from deltanas.report.wandb_tracker import WandbTracker
from deltanas.search.describing import describe, show
from deltanas.search.parts import open_tracker
from tests.fakes import ListTracker


def shown_as(store: RunStore) -> Any:
    tracker = ListTracker()
    show(tracker, store, {})
    return tracker.started


def test_a_run_is_shown_under_one_safe_id_wherever_it_lies(tmp_path: Path) -> None:
    ids = []
    for sweep in ("one", "two"):
        (tmp_path / sweep).mkdir()
        path = tmp_path / sweep / "run.sqlite"
        with RunStore(path) as store:
            describe(store, "0", "job 1 of 2: seed=1", {}, {})
            shown = shown_as(store)
        with RunStore(path.rename(tmp_path / f"{sweep}.sqlite")) as store:
            describe(store, "moved", "moved", {}, {})
            assert shown_as(store) == shown
        ids.append(shown[0])
        assert shown[1] == "job 1 of 2: seed=1"
        assert re.fullmatch("[0-9a-f]{32}", shown[0])
    assert len(set(ids)) == 2


def test_a_run_of_an_earlier_version_goes_on_under_the_id_it_had(tmp_path: Path) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        store.set_meta("run_id", "2026-11-26_7c1f2a")
        describe(store, "moved", "moved", {}, {})
        assert shown_as(store) == ("2026-11-26_7c1f2a", "2026-11-26_7c1f2a", 0)


def test_a_run_that_goes_on_tells_its_tracker_what_it_was_shown(
    tmp_path: Path, make_attempt: Callable[..., Attempt]
) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        describe(store, "run", "run", {}, {})
        for slot in range(3):
            store.append(make_attempt(0, slot))
        assert shown_as(store)[-1] == 3


def test_wandb_mode_disabled_means_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config()
    config.tracker.name = TrackerName.wandb
    config.llm.name = config.dataset.name = "x"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert isinstance(open_tracker(config, tmp_path, Console()), NullTracker)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert isinstance(open_tracker(config, tmp_path, Console()), WandbTracker)
