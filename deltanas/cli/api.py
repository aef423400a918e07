"""What a notebook wants of deltanas: `deltanas.run`, `open_run`, `evaluate_network`.

    import deltanas, pandas

    run = deltanas.run(["protocol.cycles=2", "dataset=digits"])
    pandas.DataFrame(run.attempts()).groupby("verdict").size()
    found = deltanas.evaluate_network(run.network(), epochs=10)

The third is not called `evaluate`, as that is the package of the jail.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Any

import deltanas
from deltanas.cli.exits import REFUSED
from deltanas.cli.streams import emit
from deltanas.records import Evaluation, UserError
from deltanas.records import Run as Held

Row = dict[str, Any]  # names to plain values: text, numbers, None, and tuples of numbers


class RunError(RuntimeError):
    """A search ended by an error that its user cannot mend; the message holds what it wrote."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run as rows of plain values, which `pandas.DataFrame` takes as they are.

    Rates and accuracies are in [0, 1], durations in seconds; None is what was not measured.
    """

    directory: Path
    held: Held  # the same as frozen values

    def attempts(self) -> list[Row]:
        """Return one row an attempt, by cycle and slot, with prompt, reply, delta and code."""
        return [_flat(row) for row in self.held.attempts]

    def cycles(self) -> list[Row]:
        """Return one row a finished cycle; its stages' wall time is in columns seconds_STAGE."""
        return [_flat(row) for row in self.held.cycles]

    def baselines(self) -> list[Row]:
        """Return one row a baseline as the run used it; its recipe is in columns recipe_NAME."""
        rows = [_flat(used) for used in self.held.baselines]
        return [{key.removeprefix("baseline_"): row[key] for key in row} for row in rows]

    def finalists(self) -> list[Row]:
        """Return one row a finalist; `curve` is its validation accuracy after every epoch."""
        return [_flat(row) for row in self.held.finalists]

    def retrainings(self) -> list[Row]:
        """Return one row for each epoch under a fresh seed, of races and of the confirm stage."""
        return [_flat(row) for row in self.held.retrainings]

    def summary(self) -> Row | None:
        """Return the figures of `summary.json`; None where the run has not come to its end."""
        from deltanas.cli.run_folders import SUMMARY
        from deltanas.record.summary import read_summary

        path = self.directory / SUMMARY
        return read_summary(path).flat() if path.is_file() else None

    def config(self) -> Row:
        """Return what the run was configured with, by dotted names such as `protocol.cycles`."""
        return _dotted(self.held.meta.get("config") or {})

    def best(self, kind: str | None = None, *, dataset: str | None = None) -> Row:
        """Return the row of the best network, chosen as deltanas-export does.

        `kind` is confirmed, final or proxy, or None: the strictest that there is. Raises UserError
        where the run has no such network.
        """
        from deltanas.report.choosing import Best, best_of

        if kind is not None and kind not in list(Best):
            raise UserError(f"there is no best {kind!r}; it must be one of {', '.join(Best)}")
        choice = best_of(self.held, Best(kind) if kind else None, dataset)
        return _flat(choice.row)

    def network(self, attempt: str | None = None, *, dataset: str | None = None) -> str:
        """Return a network as deltanas-export writes it: its source under its recipe.

        It is the best one, or that of an attempt by its id. Raises UserError where there is none.
        """
        from deltanas.cli.again import command_again
        from deltanas.report.choosing import attempt_of, best_of
        from deltanas.report.provenance import exported

        choice = attempt_of(self.held, attempt) if attempt else best_of(self.held, None, dataset)
        again = command_again(self.held, choice.row.dataset)
        return exported(self.held, choice, self.directory.name, again)


def run(overrides: Sequence[str] | str = (), *, directory: Path | str | None = None) -> Run:
    """Search with overrides as on the command line, show how it goes, and return the run.

    `directory` is where it is written (None: a new folder in `runs`). It is the program `deltanas`
    in a process of its own: what is loaded here, as torch, does not matter to it. Where this
    process ends, also by SIGKILL, it ends on SIGTERM, and leaves what it has.

    Raises UserError for what you can mend, with its one message, RunError for what you cannot, and
    KeyboardInterrupt once an interrupted search has written what it has; `["resume=DIR"]` then
    goes on.
    """
    words = [overrides] if isinstance(overrides, str) else list(overrides)
    if directory is not None:
        from deltanas.config.overrides import override

        words.append(override("hydra.run.dir", str(Path(directory).absolute())))
    flags = [word for word in words if word.startswith("-")]
    if flags:
        raise UserError(f"{flags[0]} is a flag of the command line; overrides are key=value")
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        code, last = _searched(words, complaints)
        complaints.seek(0)
        said = complaints.read().strip()
    if code == REFUSED:
        raise UserError(said.removeprefix("deltanas: "))
    if code:
        raise RunError(f"deltanas ended with status {code}: {said[-2000:]}")
    return open_run(last)


def open_run(path: Path | str) -> Run:
    """Return a run by its directory, also one that is being written. Raises UserError."""
    from deltanas.cli.whole_run import read_whole

    directory, held = read_whole(Path(path), while_written=True)
    return Run(directory, held)


def evaluate_network(
    code: Path | str, overrides: Sequence[str] | str = (), *, epochs: int = 1
) -> Evaluation:
    """Train one network in the jail and return what became of it, as deltanas-evaluate does.

    `code` is its source, or a Path to it; the recipe in what deltanas-export wrote is used.
    `overrides` are words as `dataset=digits` and `recipe.lr=0.1`. Whatever the network does is a
    verdict; UserError and Hydra's errors are for what cannot be used.
    """
    from rich.console import Console

    from deltanas.cli.evaluate import source_of
    from deltanas.cli.one_network import configured, evaluated
    from deltanas.report.network_file import read_recipe

    if epochs < 1:
        raise UserError(f"epochs is {epochs}; it must be at least 1")
    words = [overrides] if isinstance(overrides, str) else list(overrides)
    text = source_of(code) if isinstance(code, Path) else code
    trial = configured(words, read_recipe(text))
    return evaluated(text, trial, Console(quiet=True), epochs=epochs)[0]


def _searched(words: Sequence[str], complaints: IO[str]) -> tuple[int, str]:
    """Run the program; pass on what it says, and return its exit code and its last line."""
    here = str(Path(deltanas.__file__).parents[1])
    paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "deltanas.cli.tied", str(os.getpid()), *words],
        env=os.environ | {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=complaints,
        encoding="utf-8",
        errors="surrogateescape",
        process_group=0,  # so that Ctrl-C comes to it once, and from here
    ) as process:
        try:
            last = _relayed(process.stdout)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            _relayed(process.stdout)  # it writes what it has, and says how it goes on
            raise
    return process.returncode, last


def _relayed(lines: IO[str] | None) -> str:
    """Pass lines on as they come; return the last that is not empty."""
    last = ""
    for line in lines or ():
        emit(line.encode("utf-8", "replace").decode())
        last = line.rstrip("\n") or last
    return last


def _flat(value: Any) -> Row:
    """Return the fields of a frozen value; those of a value inside it are called after both."""
    row: Row = {}
    for each in fields(value):
        found = getattr(value, each.name)
        if isinstance(found, Mapping):
            row |= {f"{each.name}_{_plain(key)}": _plain(item) for key, item in found.items()}
        elif is_dataclass(found):
            row |= {f"{each.name}_{key}": item for key, item in _flat(found).items()}
        else:
            row[each.name] = _plain(found)
    return row


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _dotted(tree: Mapping[str, Any], prefix: str = "") -> Row:
    row: Row = {}
    for key, value in tree.items():
        found = _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else None
        row |= {f"{prefix}{key}": value} if found is None else found
    return row
