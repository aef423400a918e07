"""Found networks in LEMUR's layout: what it holds, and that an import reads the same rows."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from deltanas.archive.base import ArchiveError
from deltanas.archive.lemur import LemurArchive
from deltanas.archive.lemur_export import Trained, lemur_files, lemur_name
from deltanas.archive.lemur_import import import_wheel
from deltanas.records import Recipe, Scaling
from tests.fakes import network

RECIPE = Recipe(lr=0.05, momentum=0.9, batch=64, image_size=32, flip=True, dropout=0.25)
MNIST = replace(RECIPE, image_size=28, flip=False, dropout=None)
FOUND = [
    Trained(code=network(8), dataset="cifar10", recipe=RECIPE, trials=((0.4, 1.5), (0.5, 1.25))),
    Trained(code=network(8), dataset="mnist", recipe=MNIST, trials=((0.9, 2.0),)),
    Trained(code=network(9), dataset="mnist", recipe=MNIST, trials=((0.8, 0.0),)),
]


def as_wheel(files: dict[str, str], path: Path) -> Path:
    info = "nn_dataset-2.1.2.dist-info/METADATA"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "Metadata-Version: 2.4\nName: nn-dataset\nVersion: 2.1.2\n")
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_names_are_the_digest_of_the_source_without_blanks() -> None:
    plain = "".join(network(8).split())
    assert lemur_name(network(8)) == f"delta-{hashlib.md5(plain.encode()).hexdigest()}"
    assert lemur_name(network(8).replace("\n", "\n\n\t")) == lemur_name(network(8))
    assert lemur_name(network(9)) != lemur_name(network(8))


def test_the_layout_is_lemurs() -> None:
    files = lemur_files(FOUND)
    one, two = lemur_name(network(8)), lemur_name(network(9))
    stat = "ab/nn/stat/train/img-classification"
    assert set(files) == {
        f"ab/nn/nn/{one}.py",
        f"ab/nn/nn/{two}.py",
        f"{stat}_cifar-10_acc_{one}/1.json",
        f"{stat}_mnist_acc_{one}/1.json",
        f"{stat}_mnist_acc_{two}/1.json",
    }
    best, other = json.loads(files[f"{stat}_cifar-10_acc_{one}/1.json"])
    assert (best["accuracy"], other["accuracy"]) == (0.5, 0.4)
    plain = "{'batch':64,'dropout':0.25,'lr':0.05,'momentum':0.9,'transform':'norm_flip'}"
    assert best == {
        "accuracy": 0.5,
        "batch": 64,
        "dropout": 0.25,
        "duration": 1_250_000_000,
        "lr": 0.05,
        "momentum": 0.9,
        "transform": "norm_flip",
        "uid": hashlib.md5(plain.encode()).hexdigest(),
    }
    assert list(best) == sorted(best)


def test_an_import_reads_the_same_rows(tmp_path: Path) -> None:
    files = lemur_files(FOUND)
    wheel = as_wheel(files, tmp_path / "found.whl")
    import_wheel(wheel, tmp_path / "lemur.sqlite", expected=None)
    query = "SELECT dataset, network, accuracy, duration, transform, uid FROM trial_rows"
    with closing(sqlite3.connect(tmp_path / "lemur.sqlite")) as connection:
        read = sorted(connection.execute(query).fetchall())
    told = [
        (path.split("_")[1], path.split("_")[3].partition("/")[0], row)
        for path, text in files.items()
        if path.endswith(".json")
        for row in json.loads(text)
    ]
    keys = ("accuracy", "duration", "transform", "uid")
    assert read == sorted((where, name, *map(row.get, keys)) for where, name, row in told)

    archive = LemurArchive(tmp_path / "lemur.sqlite")
    (found,) = archive.baselines(dataset="cifar10")
    assert found.recipe == replace(RECIPE, transform="norm_flip")
    assert found.code == network(8)
    assert [one.recipe for one in archive.baselines(dataset="mnist")] == [
        replace(MNIST, transform="norm")
    ] * 2


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (replace(RECIPE, image_size=64), "norm_64_flip"),
        (replace(RECIPE, transform="echo_256_RandomCrop"), "echo_256_RandomCrop"),
        (replace(RECIPE, scaling=Scaling.echo, flip=False), "echo"),
    ],
)
def test_transforms_that_lemur_has_are_named_only(recipe: Recipe, name: str) -> None:
    files = lemur_files([replace(FOUND[0], recipe=recipe)])
    assert not [path for path in files if "/transform/" in path]
    assert [
        row["transform"] for text in files.values() if text[0] == "[" for row in json.loads(text)
    ] == [name] * 2


def test_a_transform_that_lemur_lacks_comes_along() -> None:
    files = lemur_files([replace(FOUND[0], recipe=replace(RECIPE, image_size=16))])
    text = files["ab/nn/transform/norm_16_flip.py"]
    compile(text, "norm_16_flip.py", "exec")
    steps = ("Resize(16)", "CenterCrop(16)", "RandomHorizontalFlip()", "ToTensor()")
    places = [text.index(f"transforms.{step}") for step in (*steps, "Normalize(*norm)")]
    assert places == sorted(places)


def test_two_networks_of_one_name_are_refused() -> None:
    other = network(8).replace("        return self.head", "         return self.head")
    assert lemur_name(other) == lemur_name(network(8))
    with pytest.raises(ArchiveError, match="two networks that differ in their blanks only"):
        lemur_files([FOUND[0], replace(FOUND[1], code=other)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "my_set"}, "takes no name with a _ in it"),
        ({"dataset": "x/../../y"}, r"'x/../../y'; a name that becomes a folder's holds letters"),
        ({"dataset": "..y"}, "single dots"),
        ({"recipe": replace(RECIPE, scaling=Scaling.complex)}, "complex images"),
    ],
)
def test_what_lemur_could_not_read_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        lemur_files([replace(FOUND[0], **changes)])
