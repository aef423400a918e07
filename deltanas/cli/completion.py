"""`deltanas-completion`: what bash needs to complete the words of every program with Tab.

Keep it in a file that ~/.bashrc reads: what stands there is quick, as it starts no program but for
the settings of `deltanas`, which Hydra completes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from deltanas.cli.exits import ending
from deltanas.cli.streams import emit
from deltanas.records import UserError

PROGRAMS = (
    "completion",
    "dashboard",
    "doctor",
    "evaluate",
    "export",
    "lemur",
    "replay",
    "report",
    "status",
)  # deltanas-NAME is the module NAME of this folder, whose parser() reads its command line


class CompletionError(UserError):
    """There is nothing to be completed; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for what the user can mend, or 130 for Ctrl-C."""

    def run() -> None:
        parser().parse_args(arguments)
        emit(script())

    return ending("deltanas-completion", run)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    return argparse.ArgumentParser(
        prog="deltanas-completion",
        description=__doc__,
        epilog="example:\n  deltanas-completion > ~/.deltanas-completion\n"
        "  echo '. ~/.deltanas-completion' >> ~/.bashrc",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return what reads the command line of deltanas-NAME, one of `PROGRAMS`."""
    found: argparse.ArgumentParser = import_module(f"deltanas.cli.{name}").parser()
    return found


def script() -> str:
    """Return the script: Hydra's for `deltanas`, and one for each of the other programs."""
    return "\n".join([_hydras(), *(_one(parser_of(name)) for name in PROGRAMS)])


def _one(reader: argparse.ArgumentParser) -> str:
    import shtab

    readers = [reader]
    for each in readers:
        for action in each._actions:
            if isinstance(action.choices, dict):  # its subcommands
                readers += action.choices.values()
            elif action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(reader, shell="bash")


def _hydras() -> str:
    """Return Hydra's script, which takes its name from that of the program that prints it."""
    program = Path(sysconfig.get_path("scripts"), "deltanas")
    if not program.is_file():
        raise CompletionError(f"{program} does not exist; deltanas must be installed")
    asked = [sys.executable, str(program), "-sc", "install=bash"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
