"""`deltanas-report`: hold any set of runs side by side, over seeds and beside the paper.

A path is a run directory, or a folder of run directories such as a multirun.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deltanas.cli.run_folders import RunFolderError, find_runs, is_run, read_run
from deltanas.report.comparison.grouping import group_runs
from deltanas.report.comparison.groups import FinishedRun, LostRun
from deltanas.report.comparison.page import FIGURES, PAGE, print_comparison, write_comparison

REFUSED = 2  # exit code where the input cannot be used
INTERRUPTED = 130
PIPED_WIDTH = 100  # columns where there is no terminal to ask


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for what the user can mend, or 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    console, errors = Console(), Console(stderr=True, soft_wrap=True)
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    try:
        _compare(options.paths, options.output, console)
    except (RunFolderError, OSError) as error:
        errors.print(f"deltanas-report: {error}", style="red", markup=False, highlight=False)
        return REFUSED
    except KeyboardInterrupt:
        errors.print("deltanas-report: interrupted", style="red")
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deltanas-report", description=__doc__)
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=f"where {PAGE} and {FIGURES} go (the first PATH if it is a folder of runs, else the"
        " current folder)",
    )
    return parser


def _compare(paths: Sequence[Path], output: Path | None, console: Console) -> None:
    found = [read_run(directory) for directory in find_runs(paths)]
    groups = group_runs([run for run in found if isinstance(run, FinishedRun)])
    lost = [run for run in found if isinstance(run, LostRun)]
    if output is None:
        output = Path() if is_run(paths[0]) else paths[0]
    write_comparison(groups, lost, output)
    print_comparison(groups, lost, console)
    console.print()
    for name in (FIGURES, PAGE):
        console.print(str(output / name), soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
