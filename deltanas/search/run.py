"""One search from its first row to its report."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deltanas.config.schema import Config
from deltanas.evaluate.executor import SickMachineError
from deltanas.record.summary import write_summary, write_text
from deltanas.records import Summary, resume_line
from deltanas.report.console import print_summary, say
from deltanas.report.metrics import cycles_of
from deltanas.report.run.page import run_page
from deltanas.search.describing import now
from deltanas.search.journal import is_begun
from deltanas.search.opening import Opened, opened
from deltanas.search.slots import SearchError
from deltanas.search.summing import summary_of, unfinished

if TYPE_CHECKING:
    from rich.console import Console


def run_search(
    config: Config,
    directory: Path,
    console: Console,
    *,
    began: float,
    title: str | None = None,
) -> None:
    """Run one search in its directory, or go on with it, and print the directory at the end.

    `began` is what `time.perf_counter` said when the program began to load the rooms; `title` is
    what the run is called where it is new.

    Raises UserError for whatever the user can mend, and KeyboardInterrupt, after the summary of
    what is there was written and how to go on was said, where that is what ended it.
    """
    try:
        _search(config, directory, console, began, title)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise SearchError(
            f"{error.filename or directory}: {error.strerror}; free some space, then"
            f" {resume_line(directory)} goes on"
        ) from error
    except SickMachineError as error:
        raise SearchError(f"{error}; {resume_line(directory)} then goes on") from error
    except KeyboardInterrupt:
        if is_begun(directory):
            say(console, f"interrupted; {resume_line(directory)} goes on")
            say(console, str(directory))
        raise
    say(console, str(directory))


def _search(
    config: Config, directory: Path, console: Console, began: float, title: str | None
) -> None:
    with opened(config, directory, console, title=title) as run:
        summary = None  # of a run that breaks off
        try:
            run.store.add_seconds("seconds_start", time.perf_counter() - began)
            run.search.stages.clock.take()  # what passed before counts as start
            began -= run.store.meta("wall_seconds") or 0.0
            interruption = _walk(run, began, console)
            summary = _conclude(config, run, directory, console, whole=interruption is None)
            run.store.set_meta("finished", interruption is None)
        finally:
            run.tracker.finish(summary)
    if interruption:
        raise interruption


def _walk(run: Opened, began: float, console: Console) -> KeyboardInterrupt | None:
    """Search and study; return what ended that early: Ctrl-C or SIGTERM."""
    interruption = None
    try:
        with run.progress:
            for summary in run.search.cycles():
                run.tracker.log_cycle(summary)
                run.store.set_meta("wall_seconds", time.perf_counter() - began)
            with _booked(run, "seconds_start"):
                pass  # since the last cycle that was made
            with _booked(run, "seconds_confirm"):
                run.confirm.run()
            with _booked(run, "seconds_study"):
                run.study.run()
    except KeyboardInterrupt as error:
        run.search.executor.close()
        say(console, "interrupted: writing the summary of what is there")
        interruption = error
    run.store.set_meta("wall_seconds", time.perf_counter() - began)
    return interruption


@contextmanager
def _booked(run: Opened, key: str) -> Iterator[None]:
    """Add the time that passed since it was last taken to a duration of the run."""
    try:
        yield
    finally:
        run.store.add_seconds(key, math.fsum(run.search.stages.clock.take().values()))


def _conclude(
    config: Config, run: Opened, directory: Path, console: Console, *, whole: bool
) -> Summary:
    """Write summary and report from what the store holds, show the rows, print the table.

    `whole` tells whether the run went to its end.
    """
    run.store.set_meta("ended", now())
    held = run.store.read()
    summary = summary_of(config, held, directory.name)
    write_summary(directory / "summary.json", summary)
    report = directory / "report.html"
    write_text(report, run_page(held, summary, "" if whole else unfinished(directory)))
    run.tracker.log_candidates(held.attempts)
    run.tracker.log_finalists(held.finalists)
    if config.tracker.artifacts:
        run.tracker.log_files(report, held.attempts)
    print_summary(summary, cycles_of(held.cycles, held.attempts), console)
    return summary
