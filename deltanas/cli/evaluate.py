"""`deltanas-evaluate`: send one network through the gates and the jail, and say what became of it.

FILE is a network in LEMUR's interface: class Net(in_shape, out_shape, prm, device) with forward,
train_setup and learn, and a function supported_hyperparameters. It is trained for one epoch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deltanas.cli.exits import ending, visible
from deltanas.cli.streams import emit
from deltanas.cli.template import TEMPLATE
from deltanas.records import Evaluation, Job, Recipe, Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from deltanas.config.schema import Config

_EPILOG = """
overrides choose from the configuration of a search (`deltanas --help` lists it); those of
dataset, protocol, executor and seed matter here. How the network is trained:
  recipe.lr recipe.momentum recipe.batch recipe.image_size recipe.flip recipe.dropout
the defaults are those of most built-in networks on the dataset, and are printed.

the last line on stdout is one JSON object:
  verdict, reason                         how far it got, and why no further
  first_epoch_accuracy, proxy_accuracy    of the test and the validation split, in [0, 1]
  parameters, macs, seconds               macs of one image; seconds of wall time in the jail
what was not measured is null. The exit code is 0 whatever the verdict, 2 for input that cannot
be used.

example:
  deltanas-evaluate my_net.py dataset=digits protocol.timeout_s=30 recipe.lr=0.1
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 with a verdict, 2 for what the user can mend, 130 for Ctrl-C."""

    def run() -> None:
        options = _parser().parse_args(arguments)
        _run(options.file, options.overrides)

    return ending("deltanas-evaluate", run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deltanas-evaluate",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the network's source")
    parser.add_argument("overrides", nargs="*", metavar="group=option", help="see below")
    return parser


def _run(path: Path, overrides: Sequence[str]) -> None:
    """Evaluate the file and print what was found."""
    from deltanas.cli.terminal import terminal

    config, recipe = _configured(overrides)
    console = terminal()
    found, tier = _evaluated(_source(path), config, recipe, console)
    _show(found, tier, recipe, console)
    emit(_line(found) + "\n")


def _configured(overrides: Sequence[str]) -> tuple[Config, Recipe]:
    """Return the configuration, which must name one image set, and the recipe."""
    from hydra import compose, initialize_config_dir

    from deltanas.archive.builtin_archive import common_recipe
    from deltanas.config.compose import CONF, from_hydra, register
    from deltanas.config.ranges import ConfigError
    from deltanas.config.recipe import recipe_from

    own = [word for word in overrides if word.startswith("recipe.")]
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        shared = [word for word in overrides if word not in own]
        config = from_hydra(compose("config", overrides=shared))
    sets = config.dataset.sets()
    if len(sets) > 1:
        raise ConfigError(
            f"dataset={config.dataset.name} has {len(sets)} image sets; name one of them:"
            f" dataset={'|'.join(one.name for one in sets)}"
        )
    common = common_recipe(sets[0].name, config.archive.max_image_size)
    return config, replace(common, **asdict(recipe_from(asdict(common), own)))


def _source(path: Path) -> str:
    """Return the text of a file; bytes that are no UTF-8 stay in it, for the screen to refuse."""
    from deltanas.config.ranges import ConfigError

    if not path.is_file():
        found = "is not a file" if path.exists() else "does not exist"
        raise ConfigError(f"{path} {found}; FILE must be the source of a network")
    return path.read_bytes().decode("utf-8-sig", "surrogateescape")


def _evaluated(
    code: str, config: Config, recipe: Recipe, console: Console
) -> tuple[Evaluation, str | None]:
    """Return what the screen or the jail found out, and the jail's tier where one was needed."""
    from deltanas.evaluate.images.image_data import Split
    from deltanas.screen.policy import PolicyError, check_network
    from deltanas.search.judging import degenerate_reason
    from deltanas.search.parts import open_executor, open_images

    (one,) = config.dataset.sets()
    job = Job(
        job_id="network",
        code=code,
        dataset=one.name,
        recipe=recipe,
        seed=config.seed,
        **config.trainer.options(),
    )
    try:
        check_network(code)
    except PolicyError as error:
        return Evaluation(job_id=job.job_id, verdict=error.verdict, reason=str(error)), None
    config.executor.workers = 1
    images = open_images(one, config.seed, console)
    with open_executor(config, {one.name: images}) as executor:
        (found,) = executor.map([job])
        tier = executor.jailings()[0].tier
    why = degenerate_reason(found, images.majority_rate(Split.VAL))
    return replace(found, reason=found.reason or why), tier


def _show(found: Evaluation, tier: str | None, recipe: Recipe, console: Console) -> None:
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
    settings = {each.name: getattr(recipe, each.name) for each in fields(RecipeConfig)}
    rows = [
        ("First-epoch accuracy", percent(found.first_epoch_accuracy), "test split"),
        ("Proxy accuracy", percent(found.proxy_accuracy), "validation split"),
        ("Parameters", count(found.parameters), ""),
        ("MACs", count(found.macs), "one image"),
        ("Wall time", duration(_seconds(found)), "in the jail"),
        ("CPU time", duration(found.cpu_seconds), ""),
        ("Memory", NOT_MEASURED if memory is None else f"{memory / 2**20:.0f} MiB", "peak"),
        ("Jail", tier or "not needed", ""),
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


def _line(found: Evaluation) -> str:
    """Return the JSON object of an evaluation, on one line."""
    return json.dumps(
        {
            "verdict": found.verdict,
            "reason": found.reason,
            "first_epoch_accuracy": found.first_epoch_accuracy,
            "proxy_accuracy": found.proxy_accuracy,
            "parameters": found.parameters,
            "macs": found.macs,
            "seconds": _seconds(found),
        },
        allow_nan=False,
    )


if __name__ == "__main__":
    sys.exit(main())
