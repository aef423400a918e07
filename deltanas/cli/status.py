"""`deltanas-status`: how far runs are, while they go on or after they broke off.

A path is a run directory, or a folder of run directories such as a sweep. Nothing is written, and
nobody who writes is disturbed. The time that is left is an estimate from the last three cycles.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from deltanas.cli.exits import ending
from deltanas.cli.run_folders import STORE, find_runs, is_run, read_run
from deltanas.cli.terminal import PIPED_WIDTH, Terminal, terminal
from deltanas.record.store import RunStore, RunStoreError
from deltanas.report.console import say
from deltanas.report.formats import about, visible
from deltanas.report.status import Seen, print_seen, status_of

REFRESH_S = 2.0
GRACE_S = 30.0  # for which nobody may write: a run that starts, or the next job of a sweep
_JOB = re.compile(r"job \d+ of (\d+): ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for what the user can mend, or 130 for Ctrl-C."""

    def run() -> None:
        options = parser().parse_args(arguments)
        console = terminal(piped_width=PIPED_WIDTH)
        if options.watch:
            _watch(options.paths, console)
        else:
            _show(_look(options.paths), console)

    return ending("deltanas-status", run)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="deltanas-status", description=__doc__)
    made.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    made.add_argument(
        "--watch",
        action="store_true",
        help="look again every two seconds, until all runs are finished, or nobody has written"
        f" for {GRACE_S:.0f} seconds",
    )
    return made


def _watch(paths: Sequence[Path], console: Terminal) -> None:
    """Show the runs again whenever they changed, on a terminal in place."""
    shown: list[Seen] = []
    written = time.monotonic()
    while True:
        seen = _look(paths)
        if seen != shown:
            console.clear()  # does nothing where there is no terminal
            _show(seen, console)
            shown = seen
        if any(each.is_running for each in seen):
            written = time.monotonic()
        elif not _missing(seen) and all(each.state == "finished" for each in seen):
            return
        if time.monotonic() - written > GRACE_S:
            say(console, f"nobody has written for {GRACE_S:.0f} s")
            return
        time.sleep(REFRESH_S)


def _look(paths: Sequence[Path]) -> list[Seen]:
    """Return the runs that the paths are or hold. Raises RunFolderError where there are none."""
    return [_seen(directory) for directory in find_runs(paths)]


def _seen(directory: Path) -> Seen:
    found = read_run(directory)
    try:
        with RunStore(directory / STORE, read_only=True) as store:
            status = status_of(store.read())
    except RunStoreError:  # what it says stands in the reason, unless a summary stands for all
        status = None
    if status:  # a run of somebody else may say anything
        settings = {key: visible(value) for key, value in status.settings.items()}
        best = status.best and replace(
            status.best,
            attempt_id=visible(status.best.attempt_id),
            parent_id=visible(status.best.parent_id),
        )
        status = replace(status, title=visible(status.title), settings=settings, best=best)
    return Seen(run=found, status=status)


def _show(seen: Sequence[Seen], console: Terminal) -> None:
    print_seen(seen, console)
    missing = _missing(seen)
    if missing:
        console.print()
        say(console, f"{missing} more jobs of the sweep have not begun{_left(seen, missing)}")


def _missing(seen: Sequence[Seen]) -> int:
    """Return how many jobs of the sweeps have no directory yet."""
    asked: dict[Path, int] = {}
    for each in seen:
        if each.status and (job := _JOB.match(each.status.title)):
            asked[each.directory.parent] = int(job[1])
    there = sum(is_run(path) for sweep in asked for path in sweep.iterdir())
    return max(0, sum(asked.values()) - there)


def _left(seen: Sequence[Seen], missing: int) -> str:
    """Return what the whole takes by the jobs that are finished; empty before there is one."""
    known = [each.status for each in seen if each.status]
    whole = [one.wall_seconds for one in known if one.left == 0.0 and one.wall_seconds]
    if not whole:
        return ""
    left = sum(one.left or 0.0 for one in known) + missing * fmean(whole)
    return f"; all is done in {about(left)}"


if __name__ == "__main__":
    sys.exit(main())
