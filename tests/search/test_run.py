"""A run from its first row to its report, also one that breaks or is interrupted."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deltanas.cli.exits import Terminated
from deltanas.config.schema import Config
from deltanas.evaluate import Jailing, SickMachineError
from deltanas.evaluate.jail.tiers import Tier
from deltanas.record.store import RunStore
from deltanas.records import Job
from deltanas.report.console import CycleProgress
from deltanas.report.remaining import Work
from deltanas.search import run as module
from deltanas.search.confirm import Confirm
from deltanas.search.describing import describe_machine
from deltanas.search.journal import RunJournal
from deltanas.search.opening import Opened
from deltanas.search.run import run_search
from deltanas.search.slots import SearchError
from deltanas.search.study import Study
from tests.fakes import InlineExecutor, ListTracker
from tests.search.test_loop import configured, searching


class Breaking(InlineExecutor):
    """Raises at the seventh job."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error, self.left = error, 6

    def evaluate(self, job: Job) -> Any:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().evaluate(job)


def settled(config: Config) -> Config:
    """Give names to the groups that a run's summary tells."""
    config.dataset.name = config.protocol.name = config.llm.name = config.archive.name = "x"
    config.protocol.finalists, config.protocol.finalist_epochs = 2, 3
    return config


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def go(tmp_path: Path, said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs a search with an executor, and tells what the tracker saw."""

    def run(executor: InlineExecutor, *, artifacts: bool = False) -> ListTracker:
        tracker = ListTracker()

        @contextmanager
        def opened(
            config: Config, directory: Path, console: Console, *, title: str | None
        ) -> Iterator[Opened]:
            with RunStore(directory / "run.sqlite") as store:
                store.set_meta("config", {})
                search = searching(config, journal=RunJournal(store), executor=executor)
                study = Study(config=config, store=store, executor=executor, stages=search.stages)
                fresh, memory = search.race.fresh, search.memory
                yield Opened(
                    search=search,
                    confirm=Confirm(config=config, store=store, fresh=fresh, memory=memory),
                    study=study,
                    store=store,
                    tracker=tracker,
                    progress=CycleProgress(console, Work(cycles=config.protocol.cycles)),
                )

        monkeypatch.setattr(module, "opened", opened)
        settings = settled(configured())
        settings.tracker.artifacts = artifacts
        run_search(settings, tmp_path, Console(file=said, width=40), began=0.0)
        return tracker

    return run


def test_a_run_leaves_its_summary_and_its_report(go: Any, tmp_path: Path) -> None:
    tracker = go(InlineExecutor())
    assert tracker.told == ["cycle 0", "cycle 1", "8 candidates", "2 finalists", "finish"]
    left = {path.name for path in tmp_path.iterdir()}
    assert {"run.sqlite", "summary.json", "report.html"} <= left
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["attempted"], summary["cycles"]) == (8, 2)
    with RunStore(tmp_path / "run.sqlite", read_only=True) as store:
        assert len(store.finalists()) == 2
        assert store.meta("finished") is True


def test_a_run_that_breaks_tells_its_tracker_and_goes_on(go: Any, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        go(Breaking(ZeroDivisionError()))
    assert "summary.json" not in {path.name for path in tmp_path.iterdir()}
    with RunStore(tmp_path / "run.sqlite", read_only=True) as store:
        assert store.attempts()
    assert go(InlineExecutor()).told == [
        "cycle 0",
        "cycle 1",
        "8 candidates",
        "2 finalists",
        "finish",
    ]


def test_artifacts_are_kept_where_they_are_asked_for(go: Any) -> None:
    assert go(InlineExecutor(), artifacts=True).told[-3:] == ["2 finalists", "files", "finish"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            SickMachineError("3 jobs in a row failed"),
            r"3 jobs .* failed; deltanas resume=.* then goes",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "x"),
            r"x: No space .* deltanas resume=.* goes on",
        ),
    ],
)
def test_what_the_user_can_mend_says_how_the_run_goes_on(
    error: Exception, message: str, go: Any
) -> None:
    with pytest.raises(SearchError, match=message):
        go(Breaking(error))


@pytest.mark.parametrize("signal", [KeyboardInterrupt, Terminated])
def test_ctrl_c_and_sigterm_leave_a_summary_of_what_is_there_and_say_how_to_go_on(
    signal: type[BaseException], go: Any, tmp_path: Path, said: io.StringIO
) -> None:
    executor = Breaking(signal())
    with pytest.raises(signal) as caught:
        go(executor)
    assert caught.type is signal
    *_, line, last = said.getvalue().splitlines()
    assert line == f"interrupted; deltanas resume={tmp_path} goes on"
    assert last == str(tmp_path)
    assert executor.closed
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 0 < summary["attempted"] < 8
    with RunStore(tmp_path / "run.sqlite", read_only=True) as store:
        assert store.meta("finished") is False


@pytest.mark.parametrize("ending", [ZeroDivisionError(), KeyboardInterrupt()])
def test_the_tracker_is_finished_once_however_a_run_ends(
    ending: BaseException, go: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackers: list[ListTracker] = []
    start = ListTracker.__init__
    monkeypatch.setattr(
        ListTracker, "__init__", lambda self: (start(self), trackers.append(self))[0]
    )
    with pytest.raises(type(ending)):
        go(Breaking(ending))
    (tracker,) = trackers
    assert [word for word in tracker.told if word.startswith("finish")] == [
        "finish" if isinstance(ending, KeyboardInterrupt) else "finish, broken"
    ]


def test_what_a_run_began_with_stays_known_when_it_goes_on_elsewhere(tmp_path: Path) -> None:
    class Elsewhere(InlineExecutor):
        def __init__(self, tier: Tier) -> None:
            super().__init__()
            self.tier = tier

        def jailings(self) -> tuple[Jailing, ...]:
            return (
                Jailing(
                    tier=self.tier, landlock=7, seccomp=True, identity=1, kernel="x", machine="x"
                ),
            )

    with RunStore(tmp_path / "run.sqlite") as store:
        describe_machine(store, Elsewhere(Tier.STRONG), {"model": "a"})
        began = store.read().meta
        describe_machine(store, Elsewhere(Tier.STRONG), {"model": "a"})
        assert store.read().meta == began
        describe_machine(store, Elsewhere(Tier.WEAK), {"model": "a"})
        after = store.read().meta
    assert {key: after[key] for key in began} == began
    (resumed,) = after["resumed"]
    ((key, jail),) = resumed.items()
    assert (key, jail["tier"]) == ("jail", "weak")
