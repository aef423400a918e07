"""`deltanas-lemur`: bring the LEMUR archive to this machine, and say what is there."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deltanas.archive.base import ArchiveError
from deltanas.archive.lemur import VERSION, default_path, read_meta
from deltanas.archive.lemur_import import available_cores, import_wheel, imported_counts
from deltanas.cli.exits import ending
from deltanas.cli.terminal import Terminal, terminal
from deltanas.report.console import say

_PIP_LINES = 5  # of pip's output that an error repeats


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for what the user can mend, or 130 for Ctrl-C."""
    return ending("deltanas-lemur", lambda: _run(parser().parse_args(arguments), terminal()))


def _run(options: argparse.Namespace, console: Terminal) -> None:
    path = options.path or default_path()
    if options.command == "info":
        _info(path, console)
    else:
        _fetch(options.wheel, path, options.force, console)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="deltanas-lemur", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser(
        "fetch", help=f"download nn-dataset {VERSION} with pip (103 MB) and import it"
    )
    fetch.add_argument("--wheel", type=Path, help="import this wheel; download nothing")
    fetch.add_argument("--force", action="store_true", help="import again what is there already")
    info = commands.add_parser("info", help="say where the archive is and what it holds")
    for command in (fetch, info):
        command.add_argument(
            "--path", type=Path, help="SQLite file (else one in the user's cache folder)"
        )
    return made


def _info(path: Path, console: Terminal) -> None:
    """Print the path, the size and the counts of an import."""
    meta = read_meta(path)
    say(console, str(path))
    for key, value in {"megabytes": path.stat().st_size // 1_000_000, **meta}.items():
        say(console, f"  {key:<18} {value}")


def _fetch(wheel: Path | None, path: Path, force: bool, console: Terminal) -> None:
    """Import the wheel, downloaded where none is given, unless that was done before."""
    if not force and imported_counts(path) is not None:
        say(console, "already imported; --force imports it again")
        _info(path, console)
        return
    if wheel is not None:
        _import(wheel, path, console)
    else:
        with tempfile.TemporaryDirectory(prefix="deltanas-lemur-") as folder:
            _import(_download(Path(folder), console), path, console)
    _info(path, console)


def _download(folder: Path, console: Terminal) -> Path:
    """Let pip download the wheel into the folder. Raises ArchiveError with pip's last lines."""
    requirement = f"nn-dataset=={VERSION}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", requirement]
    with console.status(f"pip downloads {requirement} (103 MB)"):
        run = subprocess.run(
            [*command, "-d", str(folder)], capture_output=True, text=True, check=False
        )
    wheels = list(folder.glob("*.whl"))
    if run.returncode or len(wheels) != 1:
        lines = (run.stderr or run.stdout).strip().splitlines()[-_PIP_LINES:]
        raise ArchiveError(
            f"pip could not download {requirement} (exit code {run.returncode}); get the wheel"
            " elsewhere and pass it with --wheel PATH. pip said:\n  " + "\n  ".join(lines)
        )
    return wheels[0]


def _import(wheel: Path, path: Path, console: Terminal) -> None:
    """Import the wheel with a progress bar for each stage."""
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks = {stage: bars.add_task(stage, total=None) for stage in ("trials", "networks")}

        def show(stage: str, done: int, total: int) -> None:
            bars.update(tasks[stage], completed=done, total=total)

        import_wheel(wheel, path, show, workers=available_cores())
