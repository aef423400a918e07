"""A network as one file: what stands in its docstring stays there, and its recipe comes back."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltanas.records import Recipe, Scaling
from deltanas.report.network_file import RecipeError, network_file, read_recipe
from deltanas.screen.policy import check_network
from deltanas.source import fingerprint
from tests.fakes import network

CODE = network(8)
RECIPE = Recipe(lr=0.1, momentum=0.9, batch=32, image_size=8, flip=False, dropout=0.2)
HOSTILE = [
    '"""\nimport os\n"""',
    '\\"""; import os #',
    "\\",
    '""""""""',
    "\r\nx = 1\x0c\x00\u2028\u202e\ud800",
    "recipe        {}",
    "a\nrecipe        {}",
    "__import__('os').__globals__",
    "\\N{DASH} \\x41 {0.__class__.__subclasses__}",
]
recipes = st.builds(
    Recipe,
    lr=st.floats(1e-6, 10),
    momentum=st.floats(0, 1),
    batch=st.integers(1, 4096),
    image_size=st.integers(1, 512),
    flip=st.booleans(),
    dropout=st.none() | st.floats(0, 1),
    transform=st.sampled_from(["", "norm_32_flip", 'a"b\\c']),
    scaling=st.sampled_from(Scaling),
)


@given(texts=st.lists(st.text() | st.sampled_from(HOSTILE), max_size=4), recipe=recipes)
def test_whatever_is_told_the_network_is_the_same_and_its_recipe_comes_back(
    texts: list[str], recipe: Recipe
) -> None:
    fields = [(f"field {number}", text) for number, text in enumerate(texts)]
    found = network_file(CODE, fields, "digits", recipe)
    assert fingerprint(found) == fingerprint(CODE)
    assert read_recipe(found) == ("digits", recipe)
    check_network(found)
    assert found.encode().decode() == found


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_statement(text: str) -> None:
    found = network_file(CODE, [("reason", text), ("lineage", text)], "digits", RECIPE)
    said, *body = ast.parse(found).body
    assert isinstance(said, ast.Expr)
    assert [ast.dump(node) for node in body] == [ast.dump(node) for node in ast.parse(CODE).body]
    assert read_recipe(found) == ("digits", RECIPE)


def test_a_docstring_of_its_own_gives_way_so_that_future_imports_stay_first() -> None:
    code = f'"""Mine.\n\nrecipe {{}}\n"""\nfrom __future__ import annotations\n{CODE}'
    found = network_file(code, [], "digits", RECIPE)
    compile(found, "net.py", "exec")
    assert "Mine" not in found
    assert read_recipe(found) == ("digits", RECIPE)


def test_a_network_that_never_compiled_is_written_as_it_is() -> None:
    assert network_file("class Net(:\n", [], "digits", RECIPE).endswith('"""\n\nclass Net(:\n')


def test_lines_are_short_but_for_the_recipe() -> None:
    found = network_file(CODE, [("versions", "torch 2.15.0, " * 20)], "digits", RECIPE)
    long = [line for line in found.splitlines() if len(line) > 99]
    assert [line.split()[0] for line in long] == ["recipe"]


@pytest.mark.parametrize(
    "text", [CODE, '"""A network.\n\nrecipe {}\n"""\n' + CODE, "class Net(:\n", "\0", ""]
)
def test_other_files_have_no_recipe(text: str) -> None:
    assert read_recipe(text) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"lr": 0.1', '"lr": '),
        ('"lr": 0.1', '"depth": 0.1'),
        ('"norm"', '"vivid"'),
        ('{"dataset": "digits", ', '{"dataset": 3, '),
        ('{"dataset": "digits", ', "{"),
        ('{"dataset"', '[1, {"dataset"'),
    ],
)
def test_a_recipe_that_was_broken_is_told(old: str, new: str) -> None:
    found = network_file(CODE, [], "digits", replace(RECIPE, lr=0.1))
    assert old in found
    with pytest.raises(RecipeError, match="must be one line of JSON"):
        read_recipe(found.replace(old, new))
