"""`deltanas-dashboard`: the workspace that shows runs side by side in Weights & Biases.

push saves it in a project, and over the one that it saved there before: lines by cycle, bars by
ablation. It needs an account (`wandb login`). dump writes what would be sent, without network.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from deltanas.cli.exits import ending
from deltanas.cli.streams import complain, emit
from deltanas.record.summary import write_text
from deltanas.report.dashboard import DashboardError, dumped, push

PROJECT = "deltanas"  # as tracker.project


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 for what the user can mend, or 130 for Ctrl-C."""

    def run() -> None:
        options = parser().parse_args(arguments)
        if options.command == "dump":
            _dump(options.entity, options.project, options.file)
        else:
            _push(options.entity, options.project)

    return ending("deltanas-dashboard", run)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="deltanas-dashboard", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    for name, told in (
        ("push", "save the workspace in W&B; the last line is its URL"),
        ("dump", "write it as JSON"),
    ):
        command = commands.add_parser(name, help=told, description=told)
        command.add_argument("--entity", required=name == "push", default="entity")
        command.add_argument("--project", default=PROJECT, help=f"(default: {PROJECT})")
        if name == "dump":
            command.add_argument(
                "file", type=Path, nargs="?", metavar="FILE", help="(default: stdout)"
            )
    return made


def _dump(entity: str, project: str, file: Path | None) -> None:
    text = dumped(entity, project) + "\n"
    if file is None:
        emit(text)
        return
    write_text(file, text)
    emit(f"{file}\n")


def _push(entity: str, project: str) -> None:
    """Save the workspace, and keep its URL for the next time."""
    path = platformdirs.user_config_path("deltanas") / "dashboards.json"
    known = _known(path)
    key = f"{entity}/{project}"
    url, is_new = push(entity, project, known.get(key))
    if is_new and key in known:
        complain(f"{known[key]} is gone; this is a new one\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(known | {key: url}, indent=2) + "\n")
    emit(f"{url}\n")


def _known(path: Path) -> dict[str, str]:
    """Return the URLs of the workspaces that were saved before, by entity and project."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DashboardError(f"{path} is not JSON ({error}); mend or delete it") from error
    if not isinstance(found, dict):
        raise DashboardError(f"{path} holds no JSON object; mend or delete it")
    return {str(key): str(url) for key, url in found.items()}


if __name__ == "__main__":
    sys.exit(main())
