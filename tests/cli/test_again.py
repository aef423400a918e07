"""The command in an exported file trains the network on what it was found on."""

from __future__ import annotations

import ast
import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltanas.cli.again import command_again
from deltanas.cli.one_network import configured
from deltanas.config.overrides import override
from deltanas.records import Run
from deltanas.report.network_file import network_file, read_recipe
from deltanas.search.describing import plain_settings
from tests.fakes import RECIPE, network
from tests.test_conf import composed

OWN = ("dataset=folder", "dataset.image_size=8", "dataset.channels=1", "dataset.name=pets")


def run_of(*words: str) -> Run:
    return Run(meta={"config": plain_settings(composed(*words))})


@pytest.mark.parametrize(
    ("words", "dataset", "more"),
    [
        (("dataset=digits",), "digits", []),
        (("dataset=mnist", "dataset.image_size=32"), "mnist", ["dataset.image_size=32"]),
        (("dataset=six", "dataset.root=/all"), "svhn", ["dataset.root=/all"]),
        (("trainer.loop=own",), "digits", ["trainer.loop=own"]),
    ],
)
def test_what_the_option_says_is_left_out(
    words: tuple[str, ...], dataset: str, more: list[str]
) -> None:
    line = command_again(run_of(*words), dataset)
    assert line == " ".join(["deltanas-evaluate THIS_FILE seed=42", *more])


@pytest.mark.parametrize("root", ["/images", "/my pets,=1 (x)", "/a__b___c", "/it's", '/a"b'])
def test_the_printed_words_compose_what_was_searched_on(root: str) -> None:
    chosen = [*OWN, override("dataset.root", root), "dataset.gate=0.2", "seed=7"]
    run = run_of(*chosen, "archive.max_image_size=96", "dataset.image_size=96")
    line = command_again(run, "pets")
    text = network_file(network(8), [], "pets", RECIPE, again=line)
    said = ast.get_docstring(ast.parse(text), clean=False) or ""
    (printed,) = (each for each in said.splitlines() if each.startswith("again "))
    _, program, _, *words = shlex.split(printed)
    trial = configured(words, read_recipe(text))
    assert program == "deltanas-evaluate"
    assert trial.recipe == RECIPE
    asked = composed(*chosen, "archive.max_image_size=96", "dataset.image_size=96")
    assert (trial.config.dataset, trial.config.seed) == (asked.dataset, 7)


@settings(max_examples=50)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\n\r$")) | st.just("1e3"))
def test_an_override_gives_hydra_the_value(text: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    found: Any = OverridesParser.create().parse_override(override("key", text)).value()
    assert found == text
