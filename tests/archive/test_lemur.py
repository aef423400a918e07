"""What the imported archive offers as baselines, and what it leaves out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deltanas.archive.base import Archive, ArchiveError
from deltanas.archive.lemur import LemurArchive, default_path, family_of
from deltanas.cli.lemur import main
from deltanas.records import Recipe


def recipes(
    archive: Archive, dataset: str, max_image_size: int | None = None
) -> dict[str, Recipe]:
    found = archive.baselines(dataset=dataset, max_image_size=max_image_size)
    return {baseline.baseline_id: baseline.recipe for baseline in found}


def test_the_best_first_epoch_trial_is_the_recipe(lemur: LemurArchive) -> None:
    found = recipes(lemur, "cifar10")
    assert found.keys() == {"ga-1", "alt-nn1-aa"}
    assert found["ga-1"] == Recipe(
        lr=0.1,
        momentum=0.9,
        batch=64,
        image_size=256,
        flip=False,
        transform="echo_256",
        scaling="echo",
    )
    assert found["alt-nn1-aa"].flip


def test_a_trial_of_a_duplicate_counts_for_the_first_name(lemur: LemurArchive) -> None:
    assert recipes(lemur, "cifar10", 32) == {
        "ga-1": Recipe(lr=0.01, momentum=0.9, batch=8, image_size=32, flip=False, transform="norm")
    }
    assert lemur.best_epoch1("cifar10")["ga-1"] == 0.5
    assert "ga-2" not in lemur.best_epoch1("cifar10")


def test_a_recipe_keeps_dropout_and_flip(lemur: LemurArchive) -> None:
    with closing(sqlite3.connect(lemur.path)) as connection, connection:
        connection.execute("UPDATE trials SET accuracy = 1 WHERE accuracy = 0.3")
    recipe = recipes(lemur, "cifar10")["ga-1"]
    assert (recipe.dropout, recipe.flip, recipe.image_size) == (0.25, True, 32)


@pytest.mark.parametrize(
    ("transform", "read"),
    [
        ("norm", (28, False, "norm")),
        ("norm_flip", (28, True, "norm")),
        ("echo_64", (64, False, "echo")),
        ("complex_32_flip", (32, True, "complex")),
    ],
)
def test_the_name_of_a_transform_is_read(
    transform: str, read: tuple[int, bool, str], lemur: LemurArchive
) -> None:
    with closing(sqlite3.connect(lemur.path)) as connection, connection:
        connection.execute("UPDATE recipes SET transform = ?", (transform,))
    recipe = recipes(lemur, "mnist")["ga-3"]
    assert (recipe.image_size, recipe.flip, recipe.scaling) == read
    assert recipe.transform == transform


@pytest.mark.parametrize("transform", ["norm_64_crop", "soft_pad", "bf-v1-Pad_32", "normal"])
def test_other_transforms_are_left_out(transform: str, lemur: LemurArchive) -> None:
    with closing(sqlite3.connect(lemur.path)) as connection, connection:
        connection.execute("UPDATE recipes SET transform = ?", (transform,))
    with pytest.raises(ArchiveError, match="no baseline for 'mnist'.*'transform': 1"):
        lemur.baselines(dataset="mnist")


def test_digits_takes_mnist_at_32_pixels(lemur: LemurArchive) -> None:
    found = recipes(lemur, "digits")
    assert found.keys() == {"ga-3"}  # ga-1 saw colour images only
    assert found["ga-3"].transform == "norm_32"  # "norm" scored higher, at MNIST's 28 pixels


def test_an_unresized_image_has_the_size_of_its_dataset(lemur: LemurArchive) -> None:
    assert recipes(lemur, "mnist")["ga-3"].image_size == 28
    assert recipes(lemur, "celeba")["alt-nn1-aa"].image_size == 64  # CelebA's own are not square


def test_what_is_left_out_is_counted_once_by_reason(lemur: LemurArchive) -> None:
    assert lemur.left_out(dataset="cifar10", max_image_size=32) == {
        "duplicate": 1,  # ga-2
        "interface": 1,  # ast-dd
        "imports": 1,  # rag-cc
        "transform": 1,  # rl-bb
        "hyperparameters": 1,  # AirNet
        "image_size": 1,  # alt-nn1-aa
        "lines": 0,
    }


def test_long_networks_are_left_out(lemur: LemurArchive) -> None:
    (one,) = lemur.baselines(dataset="mnist")
    lines = one.code.count("\n")
    assert lemur.baselines(dataset="mnist", max_lines=lines) == [one]
    assert lemur.left_out(dataset="mnist", max_lines=lines - 1)["lines"] == 1
    with pytest.raises(ArchiveError, match=r"no baseline for 'mnist'.*'lines': 1"):
        lemur.baselines(dataset="mnist", max_lines=lines - 1)


def test_baselines_are_in_the_order_of_their_names_with_family_and_source(
    lemur: LemurArchive,
) -> None:
    found = lemur.baselines(dataset="cifar10")
    assert [(one.baseline_id, one.family) for one in found] == [
        ("alt-nn1-aa", "alt"),
        ("ga-1", "ga"),
    ]
    assert "nn.Linear(in_shape[1], 40)\n" in found[0].code
    assert found == lemur.baselines(dataset="cifar10")


def test_all_networks_are_distinct_and_sorted(lemur: LemurArchive) -> None:
    found = list(lemur.all_networks())
    assert [one.name for one in found] == sorted(
        ["AirNet", "alt-nn1-aa", "ast-dd", "ga-1", "ga-3", "rag-cc", "rl-bb"]
    )
    assert all(one.lines == one.source.count("\n") for one in found)


def test_best_epoch1_sees_the_first_epoch_only(lemur: LemurArchive) -> None:
    assert lemur.best_epoch1("mnist") == {"ga-3": 0.99}
    assert lemur.best_epoch1("celeba") == {"alt-nn1-aa": 0.8}
    assert lemur.best_epoch1("digits") == lemur.best_epoch1("mnist")


def test_an_unknown_dataset_is_named(lemur: LemurArchive) -> None:
    with pytest.raises(ArchiveError, match="no baselines for dataset 'cifar'; it has some for"):
        lemur.baselines(dataset="cifar")


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"at .*none\.sqlite; `deltanas-lemur fetch`"):
        LemurArchive(tmp_path / "none.sqlite")


def test_a_file_of_another_schema_says_what_must_hold(lemur: LemurArchive) -> None:
    with closing(sqlite3.connect(lemur.path)) as connection, connection:
        connection.execute("UPDATE meta SET value = '0' WHERE key = 'schema'")
    with pytest.raises(ArchiveError, match="has schema 0; it must be"):
        LemurArchive(lemur.path)


def test_the_default_path_names_the_version() -> None:
    assert default_path().name == "lemur-2.1.2.sqlite"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("ga-17", "ga"),
        ("alt-nn1-0f", "alt"),
        ("FractalNet", "FractalNet"),
        ("ast-dimension-AlexNet-1", "ast"),
        ("AlexNet-35", "named"),
        ("gamma", "named"),
    ],
)
def test_families(name: str, family: str) -> None:
    assert family_of(name) == family


def test_without_a_home_the_archive_is_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(name: str) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_cache_dir", homeless)
    with pytest.raises(ArchiveError, match=r"set HOME, or .* archive.path=FILE"):
        LemurArchive()
    assert main(["info"]) == 2
