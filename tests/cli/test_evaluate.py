"""`deltanas-evaluate` ends in a verdict and one JSON object, or in one message."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deltanas.archive.builtin_archive import source
from deltanas.cli.evaluate import main
from deltanas.cli.one_network import configured
from deltanas.cli.template import TEMPLATE
from deltanas.records import Job, Verdict
from deltanas.report.network_file import RecipeError, network_file
from tests.fakes import RECIPE, InlineExecutor

NETWORK = source("plain_cnn_bn")
KEYS = [
    "verdict",
    "reason",
    "first_epoch_accuracy",
    "proxy_accuracy",
    "epochs",
    "test_accuracy",
    "validation_accuracy",
    "parameters",
    "macs",
    "seconds",
]


class Program:
    """Runs the program on a network's source and returns what it found."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def __call__(self, code: str | bytes, *overrides: str) -> tuple[dict[str, Any], str]:
        path = self.folder / "net.py"
        path.write_bytes(code if isinstance(code, bytes) else code.encode())
        assert main([str(path), *overrides]) == 0
        *shown, last = self.capsys.readouterr().out.splitlines()
        found = json.loads(last, parse_constant=pytest.fail)
        assert list(found) == KEYS
        assert shown[0].startswith(f"{found['verdict']}: ")
        return found, "\n".join(shown)


@pytest.fixture
def evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(tmp_path, capsys)


def test_a_network_trains(evaluate: Program) -> None:
    found, shown = evaluate(NETWORK, "dataset=digits", "executor.threads=1", "recipe.lr=0.05")
    assert found["verdict"] == "trained"
    assert 0.5 < found["proxy_accuracy"] <= 1
    assert 0.5 < found["first_epoch_accuracy"] <= 1
    assert found["parameters"] > 1000
    assert found["macs"] > 1000
    assert 0 < found["seconds"] < 60
    assert "lr          0.05" in shown
    assert "MiB" in shown


class Inline(InlineExecutor):
    """Runs no network, in no jail."""

    def jailings(self) -> Any:
        return (SimpleNamespace(tier="none"),)


def test_a_softmax_before_the_loss_is_told(evaluate: Program) -> None:
    found, shown = evaluate(TEMPLATE.replace(".flatten(1))", ".flatten(1)).softmax(1)"))
    assert found["verdict"] == "trained"
    assert "leave it out of forward" in found["reason"]
    assert shown.startswith(f"trained: {found['reason']}\n")


def test_a_network_at_chance_is_told(evaluate: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deltanas.search.parts.open_executor", lambda *_: Inline())
    found, shown = evaluate(TEMPLATE.replace("in_shape[1], 32", "in_shape[1], 7"))
    assert re.search("learned nothing: proxy accuracy 0.070, .* softmax", found["reason"])
    assert shown.startswith(f"trained: {found['reason']}\n")
    found, shown = evaluate(TEMPLATE)
    assert (found["reason"], found["proxy_accuracy"]) == ("", 0.32)
    assert shown.startswith("trained: The network trained; nothing needs to change.\n")


def test_a_class_of_another_name_is_told_and_shown_a_template(evaluate: Program) -> None:
    found, shown = evaluate(TEMPLATE.replace("class Net", "class Model"))
    assert found["verdict"] == "interface"
    assert "no top-level class Net, but Model" in found["reason"]
    assert TEMPLATE in shown


HELD = replace(RECIPE, lr=0.5, batch=16, image_size=11, flip=True, dropout=0.3)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """What would have been trained, in order; every job counts as trained."""
    asked: list[Job] = []

    class Asked(Inline):
        def map(self, jobs: Any) -> Any:
            asked.extend(jobs)
            return super().map(asked[-1:])

    monkeypatch.setattr("deltanas.search.parts.open_executor", lambda *_: Asked())
    return asked


def test_an_exported_network_trains_by_its_own_recipe(evaluate: Program, jobs: list[Job]) -> None:
    text = network_file(TEMPLATE, [("chosen", "the best")], "digits", HELD)
    _, shown = evaluate(text)
    assert "recipe of the file" in shown
    evaluate(text, "recipe.lr=0.1", "recipe.dropout=null", "seed=3")
    assert [job.recipe for job in jobs] == [HELD, replace(HELD, lr=0.1, dropout=None)]
    assert (jobs[1].dataset, jobs[1].seed) == ("digits", 3)
    evaluate(TEMPLATE)
    assert jobs[2].recipe != HELD


def test_on_another_data_set_images_are_as_usual_there(jobs: list[Job]) -> None:
    trial = configured(["dataset=cifar10"], ("digits", HELD))
    assert trial.recipe == replace(HELD, image_size=32, flip=True)
    assert trial.config.dataset.name == "cifar10"
    assert configured([], ("mnist", HELD)).config.dataset.name == "mnist"


@pytest.mark.parametrize("name", ["pets", "digits,mnist", "mnist,dataset.root=/x", "../llm/qwen"])
def test_a_data_set_that_is_none_of_ours_is_said(name: str) -> None:
    with pytest.raises(RecipeError, match=f"{name}', which must be one of celeba, .*=DIR$"):
        configured([], (name, HELD))
    assert configured(["dataset=digits"], (name, HELD)).config.dataset.name == "digits"


def test_epochs_are_what_was_asked_for(evaluate: Program, jobs: list[Job]) -> None:
    path = evaluate.folder / "net.py"
    path.write_text(TEMPLATE)
    assert main([str(path), "dataset=digits", "--epochs", "7", "recipe.lr=0.1"]) == 0
    output = evaluate.capsys.readouterr().out
    assert json.loads(output.splitlines()[-1])["epochs"] == 7
    assert output.count("After 7 epochs") == 2
    assert (jobs[0].epochs, jobs[0].recipe.lr) == (7, 0.1)
    with pytest.raises(SystemExit):
        main([str(path), "--epochs", "0"])
    assert "--epochs: 0 is no count; it must be a whole number" in evaluate.capsys.readouterr().err


def test_a_recipe_that_was_broken_is_said_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.py"
    text = network_file(TEMPLATE, [], "digits", HELD)
    path.write_text(text.replace('"lr"', '"rate"'))
    assert main([str(path)]) == 2
    assert f"{path}: the recipe in its docstring cannot be read" in capsys.readouterr().err
    path.write_text(text.replace('"lr": 0.5', '"lr": -1'))
    assert main([str(path)]) == 2
    assert "recipe.lr=-1.0 is out of range" in capsys.readouterr().err


def test_limits_hold(evaluate: Program) -> None:
    found, _ = evaluate(f"while True:\n    pass\n{NETWORK}", "protocol.timeout_s=1")
    assert found["verdict"] == "timed_out"
    assert found["proxy_accuracy"] is None
    assert found["seconds"] >= 0.5


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.INTERFACE, ""),
        (Verdict.SYNTAX, b"\xff\xfe\x00\x01"),
        (Verdict.SYNTAX, NETWORK + "x = (\n"),
        (Verdict.INTERFACE, "x = 1\n"),
        (Verdict.POLICY, f"import os\nos.remove('x')\n{NETWORK}"),
        (Verdict.POLICY, f"x = open('\x1b[2J')\n{NETWORK}"),
    ],
)
def test_what_the_screen_refuses_is_a_verdict(
    verdict: Verdict, code: str | bytes, evaluate: Program
) -> None:
    found, shown = evaluate(code)
    assert found["verdict"] == verdict
    assert found["reason"]
    assert found["seconds"] is None
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("llm=mistrl",), "Could not find 'llm/mistrl'; Available options in 'llm': custom;"),
        (("cyles=3",), "Could not override 'cyles'"),
        (("protocol.timeout_s=-1",), "protocol.timeout_s=-1.0 is out of range; .* above 0"),
        (("dataset=six",), "dataset=six has 6 image sets; name one of them: dataset=cifar10"),
        (("dataset=mnist", "dataset.root=/nowhere"), "MNIST is not in /nowhere"),
        (("recipe.lr=fast",), "'fast' .* could not be converted to Float; full_key: recipe.lr"),
        (("recipe.depth=3",), "Key 'depth' not in"),
        (("recipe.batch=0", "recipe.lr=nan"), "recipe.lr=nan is .*; recipe.batch=0 is out of"),
        (("seed=1,2",), """seed=1,2 names several values, .* quoted, .* 'seed="1,2"'$"""),
        (
            ("dataset.root=/a=b",),
            """dataset.root=/a=b cannot be read: mismatched input '='.* 'dataset.root="/a=b"'$""",
        ),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.py"
    path.write_text(NETWORK)
    assert main([str(path), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deltanas-evaluate: ")
    assert re.search(message, line), line


def test_a_file_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, message in ((tmp_path / "none.py", "does not exist"), (tmp_path, "is not a file")):
        assert main([str(path)]) == 2
        assert f"deltanas-evaluate: {path} {message}" in capsys.readouterr().err


def test_help_and_refusals_load_nothing_heavy(tmp_path: Path) -> None:
    heavy = ["torch", "lightning", "transformers", "wandb", "matplotlib"]
    code = (
        "import sys; from deltanas.cli.evaluate import main\n"
        "try:\n    main(sys.argv[1:])\n"
        f"except SystemExit:\n    pass\nprint([name for name in {heavy} if name in sys.modules])"
    )
    for words in (["--help"], [str(tmp_path / "none.py")]):
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"
