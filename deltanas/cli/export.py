"""`deltanas-export`: take what a run found away, as files that need no run.

By default the best network, as one Python file in LEMUR's interface: deltanas-evaluate runs it, by
the recipe in its docstring, which also tells where it came from and what was measured. The best is
the best confirmed one (mean validation accuracy under fresh seeds) if the run confirmed any, else
the best finalist, else the best after one epoch; which of them is said.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deltanas.cli.evaluate import positive
from deltanas.cli.exits import ending
from deltanas.cli.streams import emit
from deltanas.records import UserError, is_attempt_id
from deltanas.report.choosing import Best
from deltanas.report.formats import visible

if TYPE_CHECKING:
    from deltanas.records import Run
    from deltanas.report.choosing import Choice

_EPILOG = """
RUN is a run's directory, and is left as it is. DEST must not be there yet, or be a folder for the
one file. The last line on stdout is what was written.

examples:
  deltanas-export runs/2026-11-29_10-00-00_1f2e3d best.py
  deltanas-export RUN --attempt c03-s007 net.py
  deltanas-export RUN --train 50 best.py       # and best.safetensors, trained in the jail
  deltanas-export RUN --lemur found            # ab/nn/nn/delta-*.py and their statistics
  deltanas-export RUN --adapter adapter        # what the LLM learned, for PEFT
"""


class ExportError(UserError):
    """What was asked for cannot be written; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for what the user can mend, or 130 for Ctrl-C."""

    def run() -> None:
        reader = parser()
        options = reader.parse_args(arguments)
        chosen = options.best or options.attempt or options.dataset
        if (options.lemur or options.adapter) and chosen:
            reader.error("--best, --attempt and --dataset choose one network for a Python file")
        if options.attempt and options.dataset:
            reader.error("--attempt names a network already; --dataset is for the best one")
        _export(options)

    return ending("deltanas-export", run)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="deltanas-export",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("run", type=Path, metavar="RUN", help="the directory of a run")
    made.add_argument("dest", type=Path, metavar="DEST", help="a .py file, or a folder")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--best", choices=[*Best], help="by which measure")
    which.add_argument("--attempt", metavar="ID", help="this one, as c03-s007")
    made.add_argument("--dataset", metavar="NAME", help="the best on it, of a run on several")
    what = made.add_mutually_exclusive_group()
    what.add_argument(
        "--train",
        type=positive,
        metavar="EPOCHS",
        help="train it in the jail and write its weights beside it, as DEST with .safetensors",
    )
    what.add_argument(
        "--lemur",
        action="store_true",
        help="every new network that learned something, with its statistics, in LEMUR's layout",
    )
    what.add_argument(
        "--adapter", action="store_true", help="the LLM's last adapter as a folder for PEFT"
    )
    return made


def _export(options: argparse.Namespace) -> None:
    from deltanas.cli.whole_run import read_whole

    directory, run = read_whole(options.run)
    dest: Path = options.dest
    if options.adapter:
        from deltanas.cli.export_folders import export_adapter

        export_adapter(directory, run, fresh(dest))
    elif options.lemur:
        from deltanas.cli.export_folders import export_lemur

        export_lemur(directory, run, fresh(dest))
    else:
        dest = _export_network(directory, run, options)
    emit(f"{dest}\n")


def _export_network(directory: Path, run: Run, options: argparse.Namespace) -> Path:
    """Write the chosen network, with weights where these are asked for; return the file."""
    from deltanas.cli.again import command_again
    from deltanas.record.summary import write_text
    from deltanas.report.choosing import NoNetworkError, attempt_of, best_of
    from deltanas.report.formats import GAP
    from deltanas.report.provenance import exported, measured

    try:
        choice = (
            attempt_of(run, options.attempt)
            if options.attempt
            else best_of(run, options.best and Best(options.best), options.dataset)
        )
    except NoNetworkError as error:
        raise NoNetworkError(f"{directory}: {error}") from error
    row = choice.row
    dest = _file(options.dest, row.attempt_id)
    emit(f"{visible(f'{row.attempt_id} on {row.dataset}, {choice.reason}')}\n")
    for _, text in measured(run, row):
        emit(f"  {visible(text.replace(GAP, ' '))}\n")
    more = _trained(run, choice, options.train, dest) if options.train else []
    again = command_again(run, row.dataset)
    write_text(dest, exported(run, choice, directory.name, again, more))
    return dest


def _trained(run: Run, choice: Choice, epochs: int, dest: Path) -> list[tuple[str, str]]:
    from deltanas.cli.export_weights import export_weights

    weights = fresh(dest.with_suffix(".safetensors"))
    return export_weights(run, choice.row, epochs, weights)


def _file(dest: Path, name: str) -> Path:
    """Return where a network goes; `name`, of an attempt, names the file in a folder.

    Raises ExportError.
    """
    if dest.is_dir() and not is_attempt_id(name):
        raise ExportError(
            f"the run calls the attempt {name!r}, which is no id as c03-s007, so that no file is"
            f" named after it; DEST must be a Python file, such as {dest / 'net.py'}"
        )
    path = dest / f"{name}.py" if dest.is_dir() else dest
    if path.suffix != ".py":
        raise ExportError(f"{path} does not end in .py; DEST must be a Python file, or a folder")
    return fresh(path)


def fresh(path: Path) -> Path:
    """Return a path that is free, in a folder that is there. Raises ExportError."""
    if path.exists():
        raise ExportError(f"{path} is there already; nothing is written over, name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    sys.exit(main())
