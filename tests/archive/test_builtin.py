from __future__ import annotations

import ast
from importlib.resources import files
from typing import Any

import pytest
import torch

from deltanas.archive.base import Archive, ArchiveError
from deltanas.archive.builtin_archive import IMAGE_SIZES, NETWORKS, BuiltinArchive
from deltanas.source import fingerprint, frozen_lines

SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (64, 64, 3)]  # height, width, channels
NAMES = sorted(NETWORKS)
METHODS = {
    "__init__": ["self", "in_shape", "out_shape", "prm", "device"],
    "forward": ["self", "x"],
    "train_setup": ["self", "prm"],
    "learn": ["self", "train_data"],
}


@pytest.fixture(scope="module")
def baselines() -> dict[str, Any]:
    found = BuiltinArchive().baselines(dataset="digits")
    return {baseline.baseline_id: baseline for baseline in found}


def build(baseline: Any, shape: tuple[int, int, int], classes: int = 7) -> Any:
    height, width, channels = shape
    namespace: dict[str, Any] = {"__name__": "network"}
    exec(compile(baseline.code, baseline.baseline_id, "exec"), namespace)
    prm = baseline.recipe.hyperparameters()
    assert namespace["supported_hyperparameters"]() <= prm.keys()
    torch.manual_seed(0)
    in_shape = (2, channels, height, width)
    return namespace["Net"](in_shape, (classes,), prm, torch.device("cpu"))


def test_files_and_table_name_the_same_networks() -> None:
    folder = files("deltanas.archive") / "builtin"
    stems = {entry.name[:-3] for entry in folder.iterdir() if entry.name.endswith(".py")}
    assert stems == NETWORKS.keys()


def test_archive_keeps_the_protocol_and_its_order() -> None:
    archive: Archive = BuiltinArchive()
    first = archive.baselines(dataset="cifar10")
    assert archive.name == "builtin"
    assert list(first) == list(archive.baselines(dataset="cifar10"))
    assert [baseline.baseline_id for baseline in first] == NAMES
    assert sum(archive.left_out(dataset="cifar10").values()) == 0


def test_families_are_many_and_none_dominates() -> None:
    families = [network.family for network in NETWORKS.values()]
    assert len(set(families)) >= 20
    assert max(map(families.count, families)) <= 3


@pytest.mark.parametrize("dataset", sorted(IMAGE_SIZES))
def test_recipe_follows_the_dataset(dataset: str) -> None:
    for baseline in BuiltinArchive().baselines(dataset=dataset):
        assert baseline.recipe.image_size == IMAGE_SIZES[dataset]
        assert baseline.recipe.flip == (dataset not in {"digits", "mnist", "svhn"})


def test_smaller_limit_shrinks_the_images_and_leaves_nothing_out() -> None:
    archive = BuiltinArchive()
    found = archive.baselines(dataset="imagenette", max_image_size=48)
    assert len(found) == len(NETWORKS)
    assert {baseline.recipe.image_size for baseline in found} == {48}


def test_line_limit_leaves_the_longer_out_and_says_how_many() -> None:
    archive = BuiltinArchive()
    found = archive.baselines(dataset="digits", max_lines=55)
    left_out = archive.left_out(dataset="digits", max_lines=55)
    assert 0 < len(found) < len(NETWORKS)
    assert all(len(baseline.code.splitlines()) <= 55 for baseline in found)
    assert left_out == {"lines": len(NETWORKS) - len(found), "image_size": 0}


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"dataset": "faces"}, "'faces'.*celeba, cifar10"),
        ({"dataset": "digits", "max_lines": 5}, "at most 5 lines"),
        ({"dataset": "digits", "max_image_size": 4}, "at most 4 pixels.*8"),
    ],
)
def test_question_without_an_answer_is_refused(question: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        BuiltinArchive().baselines(**question)


@pytest.mark.parametrize("name", NAMES)
def test_source_has_the_interface(name: str, baselines: dict[str, Any]) -> None:
    code = baselines[name].code
    tree = ast.parse(code)
    net = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Net")
    methods = {
        n.name: [a.arg for a in n.args.args] for n in net.body if isinstance(n, ast.FunctionDef)
    }
    imports = [
        ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)
    ]
    assert methods == METHODS
    assert set(imports) <= {
        "import math",
        "import torch",
        "import torch.nn as nn",
        "import torch.nn.functional as F",
    }
    assert 30 <= len(code.splitlines()) <= 110
    assert max(map(len, code.splitlines())) < 100
    assert len(frozen_lines(code)) == 16
    assert "#" not in code


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_offered_where_it_is_read(name: str, baselines: dict[str, Any]) -> None:
    baseline = baselines[name]
    reads = "prm['dropout']" in baseline.code
    assert ("'dropout'}" in baseline.code) == reads
    assert (baseline.recipe.dropout is not None) == reads


def test_no_two_networks_are_equal(baselines: dict[str, Any]) -> None:
    assert len({fingerprint(baseline.code) for baseline in baselines.values()}) == len(NETWORKS)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_gives_finite_logits_and_gradients(
    name: str, baselines: dict[str, Any]
) -> None:
    for shape in SHAPES:
        height, width, channels = shape
        network = build(baselines[name], shape)
        logits = network(torch.randn(2, channels, height, width))
        assert logits.shape == (2, 7)
        assert torch.isfinite(logits).all()
        loss: Any = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 6]))
        loss.backward()
        missing = [key for key, value in network.named_parameters() if value.grad is None]
        assert missing == []
        assert 10_000 <= sum(value.numel() for value in network.parameters()) <= 600_000


@pytest.mark.parametrize("name", NAMES)
def test_learning_moves_the_weights_and_evaluation_repeats(
    name: str, baselines: dict[str, Any]
) -> None:
    network = build(baselines[name], (8, 8, 1), classes=2)
    network.train_setup(baselines[name].recipe.hyperparameters())
    weights = [value for value in network.parameters() if value.ndim > 1]
    before = [value.detach().clone() for value in weights]
    network.learn([(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 0, 1]))] * 2)
    network.eval()
    with torch.no_grad():
        first, second = network(torch.ones(2, 1, 8, 8)), network(torch.ones(2, 1, 8, 8))
    assert first.shape == (2, 2)
    assert torch.isfinite(first).all()
    assert torch.equal(first, second)
    assert not any(torch.equal(old, new) for old, new in zip(before, weights, strict=True))
