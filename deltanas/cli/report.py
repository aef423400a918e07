"""`deltanas-report`: make a run's page anew, or hold any set of runs side by side.

A path is a run directory, or a folder of run directories such as a multirun. One run directory
gets its report.html anew, from what its run.sqlite holds by now, finished or not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deltanas.cli.exits import ending
from deltanas.cli.run_folders import find_runs, is_run, read_run
from deltanas.cli.terminal import PIPED_WIDTH, Terminal, terminal
from deltanas.cli.whole_run import figures_of, read_whole
from deltanas.record.summary import write_text
from deltanas.records import FinishedRun, LostRun
from deltanas.report.comparison.csv_file import comparison_csv
from deltanas.report.comparison.grouping import group_runs
from deltanas.report.comparison.page import comparison_page, print_comparison
from deltanas.report.console import say
from deltanas.report.run.page import run_page

PAGE, FIGURES, REPORT = "comparison.html", "comparison.csv", "report.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for what the user can mend, or 130 for Ctrl-C."""

    def run() -> None:
        options = parser().parse_args(arguments)
        console = terminal(piped_width=PIPED_WIDTH)
        if len(options.paths) == 1 and is_run(options.paths[0]):
            _renew(options.paths[0], options.output, console)
        else:
            _compare(options.paths, options.output, console)

    return ending("deltanas-report", run)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="deltanas-report", description=__doc__)
    made.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    made.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=f"where {PAGE} and {FIGURES} go (the first PATH if it is a folder of runs, else the"
        f" current folder), or {REPORT} of a single run (its directory)",
    )
    return made


def _renew(directory: Path, output: Path | None, console: Terminal) -> None:
    """Write the page of one run; its other files stay as they are."""
    _, run = read_whole(directory, while_written=True)
    summary, note = figures_of(directory, run)
    output = output or directory
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / REPORT, run_page(run, summary, note))
    say(console, str(output / REPORT))


def _compare(paths: Sequence[Path], output: Path | None, console: Terminal) -> None:
    found = [read_run(directory) for directory in find_runs(paths)]
    groups = group_runs([run for run in found if isinstance(run, FinishedRun)])
    lost = [run for run in found if isinstance(run, LostRun)]
    if output is None:
        output = Path() if is_run(paths[0]) else paths[0]
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / FIGURES, comparison_csv(groups, lost))
    write_text(output / PAGE, comparison_page(groups, lost, output))
    print_comparison(groups, lost, console)
    console.print()
    for name in (FIGURES, PAGE):
        say(console, str(output / name))


if __name__ == "__main__":
    sys.exit(main())
