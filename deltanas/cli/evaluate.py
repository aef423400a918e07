"""`deltanas-evaluate`: send one network through the gates and the jail, and say what became of it.

FILE is a network in LEMUR's interface: class Net(in_shape, out_shape, prm, device) with forward,
train_setup and learn, and a function supported_hyperparameters. It is trained for one epoch, or
for as many as --epochs says.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from deltanas.cli.exits import ending
from deltanas.cli.one_network import Trial, configured, evaluated
from deltanas.cli.streams import emit
from deltanas.cli.template import TEMPLATE
from deltanas.records import Evaluation, Verdict
from deltanas.report.formats import visible

if TYPE_CHECKING:
    from rich.console import Console

_EPILOG = """
overrides choose from the configuration of a search (`deltanas --help` lists it); those of
dataset, protocol, trainer, executor and seed matter here. How the network is trained:
  recipe.lr recipe.momentum recipe.batch recipe.image_size recipe.flip recipe.dropout
of a file that deltanas-export wrote, the defaults are the data set and the recipe in it; of any
other, those of most built-in networks on the dataset. What was used is printed.

the last line on stdout is one JSON object:
  verdict, reason                         how far it got, and why no further
  first_epoch_accuracy, proxy_accuracy    after one epoch, of the test and the validation split,
                                          in [0, 1]
  epochs                                  that were asked for
  test_accuracy, validation_accuracy      after the last of them
  parameters, macs, seconds               macs of one image; seconds of wall time in the jail
what was not measured is null. The exit code is 0 whatever the verdict, 2 for input that cannot
be used.

example:
  deltanas-evaluate my_net.py dataset=digits protocol.timeout_s=30 recipe.lr=0.1
  deltanas-evaluate best.py --epochs 50
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 with a verdict, 2 for what the user can mend, 130 for Ctrl-C."""

    def run() -> None:
        options = parser().parse_intermixed_args(arguments)
        _run(options.file, options.overrides, options.epochs)

    return ending("deltanas-evaluate", run)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="deltanas-evaluate",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("file", type=Path, metavar="FILE", help="the network's source")
    made.add_argument("overrides", nargs="*", metavar="group=option", help="see below")
    made.add_argument(
        "--epochs", type=positive, default=1, metavar="N", help="of training (default: 1)"
    )
    return made


def positive(word: str) -> int:
    """Return a count of at least 1. Raises ArgumentTypeError."""
    if not word.isdecimal() or not int(word):
        raise argparse.ArgumentTypeError(f"{word} is no count; it must be a whole number, 1 or up")
    return int(word)


def _run(path: Path, overrides: Sequence[str], epochs: int) -> None:
    """Evaluate the file and print what was found."""
    from deltanas.cli.terminal import terminal
    from deltanas.report.network_file import RecipeError, read_recipe

    code = source_of(path)
    try:
        trial = configured(overrides, read_recipe(code))
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
    console = terminal()
    found, tier = evaluated(code, trial, console, epochs=epochs)
    _show(found, tier, trial, epochs, console)
    emit(_line(found, epochs) + "\n")


def source_of(path: Path) -> str:
    """Return the text of a file; bytes that are no UTF-8 stay in it, for the screen to refuse."""
    from deltanas.config.ranges import ConfigError

    if not path.is_file():
        found = "is not a file" if path.exists() else "does not exist"
        raise ConfigError(f"{path} {found}; FILE must be the source of a network")
    return path.read_bytes().decode("utf-8-sig", "surrogateescape")


def _show(
    found: Evaluation, tier: str | None, trial: Trial, epochs: int, console: Console
) -> None:
    """Print verdict, reason, accuracies, resources and recipe for people."""
    from rich.table import Table

    from deltanas.config.recipe import RecipeConfig
    from deltanas.report.console import say
    from deltanas.report.formats import NOT_MEASURED, count, duration, percent
    from deltanas.report.tables import print_table

    trained = found.verdict is Verdict.TRAINED
    said = found.reason if trained and found.reason else found.verdict.for_people
    say(console, f"{found.verdict}: {visible(said)}")
    if found.reason and not trained:
        say(console, visible(found.reason))
    if found.verdict is Verdict.INTERFACE:
        say(console, f"\nA network in this interface:\n{TEMPLATE}")
    memory = found.memory_bytes
    settings = {each.name: getattr(trial.recipe, each.name) for each in fields(RecipeConfig)}
    rows = [
        ("First-epoch accuracy", percent(found.first_epoch_accuracy), "test split"),
        ("Proxy accuracy", percent(found.curve[0] if found.curve else None), "validation split"),
        *(
            (f"After {epochs} epochs", percent(value), split)
            for value, split in (
                (found.test_accuracy, "test split"),
                (found.proxy_accuracy, "validation split"),
            )
            if epochs > 1
        ),
        ("Parameters", count(found.parameters), ""),
        ("MACs", count(found.macs), "one image"),
        ("Wall time", duration(_seconds(found)), "in the jail"),
        ("CPU time", duration(found.cpu_seconds), ""),
        ("Memory", NOT_MEASURED if memory is None else f"{memory / 2**20:.0f} MiB", "peak"),
        ("Jail", tier or "not needed", ""),
        ("Data set", trial.config.dataset.name, f"recipe of {trial.told_by}"),
        *(("Recipe" if name == "lr" else "", name, str(settings[name])) for name in settings),
    ]
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for no_wrap in (True, True, False):
        table.add_column(no_wrap=no_wrap)
    for row in rows:
        table.add_row(*row)
    print_table(table, console)


def _seconds(found: Evaluation) -> float | None:
    """Return the wall time in the jail; the screen takes none, nor does a worker that died."""
    return None if found.cpu_seconds is None else found.seconds


def _line(found: Evaluation, epochs: int) -> str:
    """Return the JSON object of an evaluation, on one line."""
    return json.dumps(
        {
            "verdict": found.verdict,
            "reason": found.reason,
            "first_epoch_accuracy": found.first_epoch_accuracy,
            "proxy_accuracy": found.curve[0] if found.curve else None,
            "epochs": epochs,
            "test_accuracy": found.test_accuracy,
            "validation_accuracy": found.proxy_accuracy,
            "parameters": found.parameters,
            "macs": found.macs,
            "seconds": _seconds(found),
        },
        allow_nan=False,
    )


if __name__ == "__main__":
    sys.exit(main())
