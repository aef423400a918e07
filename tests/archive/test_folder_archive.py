"""Networks of the user's own: each is a baseline, or is named with what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltanas.archive.base import ArchiveError
from deltanas.archive.builtin_archive import BuiltinArchive, common_recipe
from deltanas.archive.folder_archive import FolderArchive, _recipe
from deltanas.cli.template import TEMPLATE
from deltanas.records import Recipe

NETWORK = '"""A first try."""\n' + TEMPLATE
Write = Callable[..., FolderArchive]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes files and opens them as an archive."""

    def do(fault: str | None = None, **files: str) -> FolderArchive:
        for stem, text in files.items():
            (tmp_path / f"{stem}.py").write_text(text)
        own = {"pets": 48}
        return FolderArchive(tmp_path, own, lambda code: fault if "fault" in code else None)

    return do


def other(width: int, head: str = "") -> str:
    return head + NETWORK.replace("32", str(width))


def test_a_network_without_a_recipe_has_the_common_one(write: Write) -> None:
    (found,) = write(mine=NETWORK).baselines(dataset="digits")
    assert (found.baseline_id, found.family) == ("mine", "mine")
    assert found.recipe == common_recipe("digits")
    assert found.code == TEMPLATE.replace(
        "  # (N, C, H, W), (classes,), dict, device", ""
    ).replace("  # images to logits, (B, C, H, W) to (B, classes)", "").replace(
        "\n\n\n", "\n"
    ).replace("\n\n", "\n")


def test_a_recipe_stands_in_a_comment_or_a_docstring(write: Write) -> None:
    archive = write(
        a=other(8, '# recipe {"lr": 0.5, "flip": true}\n'),
        b=NETWORK.replace("try.", 'try.\n\nrecipe        {"batch": 7, "dropout": null}\n'),
    )
    a, b = archive.baselines(dataset="pets")
    assert (a.recipe.lr, a.recipe.flip, a.recipe.image_size) == (0.5, True, 48)
    assert (b.recipe.batch, b.recipe.dropout, b.recipe.flip) == (7, None, False)


def test_a_recipe_of_another_set_keeps_what_is_the_networks(write: Write) -> None:
    told = asdict(common_recipe("cifar10")) | {"lr": 0.7}
    files = {
        "same": other(8, f"# recipe {json.dumps({'dataset': 'cifar10', **told})}\n"),
        "else_": other(9, f"# recipe {json.dumps({'dataset': 'mnist', **told})}\n"),
    }
    archive = write(**files)
    recipes = {one.baseline_id: one.recipe for one in archive.baselines(dataset="digits")}
    assert {(one.lr, one.image_size, one.flip) for one in recipes.values()} == {(0.7, 8, False)}
    recipes = {one.baseline_id: one.recipe for one in archive.baselines(dataset="cifar10")}
    assert recipes["same"].image_size == 32


@given(
    lr=st.floats(1e-6, 10),
    momentum=st.floats(0, 0.99),
    batch=st.integers(1, 512),
    flip=st.booleans(),
)
def test_every_recipe_comes_back(lr: float, momentum: float, batch: int, flip: bool) -> None:
    recipe = Recipe(lr=lr, momentum=momentum, batch=batch, image_size=8, flip=flip)
    text = f"# recipe {json.dumps(asdict(recipe))}\n"
    assert _recipe(text, "digits", common_recipe("mnist")) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class Net(:", "b.py: invalid syntax"),
        ("# fault", "b.py: no class Net"),
        (NETWORK + "\n# another comment", "b.py: it is the network of a.py"),
        (other(9, "x = 1\n" * 400), "b.py: it has 42. lines .* archive.max_lines is 400"),
        (other(9, "# recipe {lr: 1}\n"), "b.py: its recipe is not JSON: "),
        (other(9, '# recipe {"lr": 0}\n'), "b.py: its recipe has lr 0; .* a number above 0"),
        (other(9, '# recipe {"lr": "a"}\n'), 'b.py: its recipe has lr "a"'),
        (other(9, '# recipe {"lr": NaN}\n'), "b.py: its recipe has lr NaN"),
        (other(9, '# recipe {"flip": 1}\n'), "b.py: its recipe has flip 1; .* true or false"),
        (other(9, '# recipe {"scaling": "x"}\n'), 'b.py: its recipe has scaling "x"; .* norm'),
        (other(9, '# recipe {"rate": 1}\n'), "b.py: its recipe has rate; it may have batch, dr"),
        (other(9, '# recipe {"image_size": 96}\n'), "images of 96 pixels; archive.max_image_size"),
        (other(9, "# recipe {}\n# recipe {}\n"), "b.py: it has 2 recipes"),
        (other(9, f'# recipe {{"lr": {"[" * 100_000}}}\n'), "b.py: it is nested too deeply to be"),
    ],
)
def test_a_refused_network_is_named_and_the_others_stay(
    text: str, message: str, write: Write
) -> None:
    archive = write("no class Net", a=NETWORK, b=text)
    asked: Any = {"dataset": "digits", "max_lines": 400, "max_image_size": 64}
    assert [one.baseline_id for one in archive.baselines(**asked)] == ["a"]
    ((sentence, count),) = archive.left_out(**asked).items()
    assert count == 1
    assert re.search(message, sentence), sentence


def test_a_folder_without_networks_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"holds no \.py file"):
        write(_private=NETWORK)
    with pytest.raises(ArchiveError, match="does not exist; archive.path must be a folder"):
        FolderArchive(tmp_path / "nowhere", {}, lambda code: None)
    with pytest.raises(ArchiveError, match=r"can be used: a\.py: at fault; .*; and 1 more"):
        write("at fault", **dict.fromkeys("abcdef", "# fault")).baselines(dataset="digits")


def test_a_name_that_steers_a_terminal_is_refused(write: Write) -> None:
    (sentence,) = write(a=NETWORK, **{"\x1b[2J": other(8)}).left_out(dataset="digits")
    assert "its name holds characters that cannot be printed" in sentence


def test_no_network_is_called_as_attempts_are(write: Write) -> None:
    names = [one.baseline_id for one in write(**{"c00-s001": NETWORK}).baselines(dataset="digits")]
    assert names == ["net-c00-s001"]


def test_no_two_networks_are_called_alike(write: Write) -> None:
    archive = write(**{"c0-s1": NETWORK, "net-c0-s1": other(8)})
    assert [one.code.count("32") for one in archive.baselines(dataset="digits")] == [2]
    (sentence,) = archive.left_out(dataset="digits")
    assert sentence == "net-c0-s1.py: c0-s1.py is called net-c0-s1 too; rename one of them"


def test_the_built_in_networks_take_images_of_ones_own() -> None:
    found = BuiltinArchive({"pets": 48}).baselines(dataset="pets", max_image_size=64)
    assert {(one.recipe.image_size, one.recipe.flip) for one in found} == {(48, False)}
