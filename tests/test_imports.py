"""The law of the house, read from the source: who may import whom, and what stays light."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import deltanas

PACKAGE = Path(deltanas.__file__).parent
CORRIDOR = {  # what imports rooms and the configuration, and what else each may
    "search": {"search"},
    "cli": {"cli", "search"},
}
FOLDERS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
ROOMS = FOLDERS - CORRIDOR.keys() - {"config", "records"}
TORCH_FREE = (
    *("screen", "propose", "report.metrics"),
    *("tune.curation", "tune.rewards", "tune.siblings", "tune.tuner"),
)
BRINGS_TORCH = {
    "accelerate",
    "lightning",
    "peft",
    "pytorch_lightning",
    "torch",
    "torchmetrics",
    "torchvision",
    "transformers",
}


def imports_of(module: str, source: str, *, package: bool = False) -> set[str]:
    """Return the dotted names that a module imports anywhere, relative ones resolved.

    `from a import b` counts as `a.b`, as b may be a module, and so does `deltanas.b` in use.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parent = parts[: len(parts) - node.level + package]
                base = ".".join([*parent, *([base] if base else [])])
            names.update(f"{base}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "deltanas"
            and not node.attr.startswith("__")
        ):
            names.add(f"deltanas.{node.attr}")
    return names


def violations(module: str, source: str, *, package: bool = False) -> list[str]:
    """Return one sentence for each import of `module` that breaks the law.

    Rooms import records, source, the standard library and their own libraries, never each other
    and never config. Search and cli import rooms and config, and cli search.
    """
    inside = module.partition(".")[2]  # "screen.delta"; empty for deltanas itself
    place = inside.partition(".")[0]
    imported = imports_of(module, source, package=package)
    parts = {name.split(".")[1] for name in imported if name.startswith("deltanas.")}
    libraries = {name.partition(".")[0] for name in imported} - {"deltanas"}
    if place in CORRIDOR:
        allowed = ROOMS | CORRIDOR[place] | {"config", "records", "source"}
    elif place in ("", "__main__"):  # what users meet first
        allowed = {"cli", "config"}
    else:
        allowed = {place, "records", "source"}
    broken = [
        f"{module} imports {part}; {place or module} may import {', '.join(sorted(allowed))}"
        for part in sorted(parts - allowed - {"__file__", "__path__"})
    ]
    if place in ROOMS and libraries & {"hydra", "omegaconf"}:
        broken.append(f"{module} imports Hydra; a room takes plain typed arguments")
    if any(inside == free or inside.startswith(f"{free}.") for free in TORCH_FREE):
        broken += [
            f"{module} imports {library}; it must work without torch"
            for library in sorted(libraries & BRINGS_TORCH)
        ]
    if "deltanas.evaluate.inside" in " ".join(imported) and place != "evaluate":
        broken.append(f"{module} imports evaluate.inside, where hostile code runs")
    return broken


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("deltanas.screen.delta", "import deltanas.evaluate", "may import records, screen"),
        ("deltanas.screen.delta", "from deltanas import tune", "may import records, screen"),
        ("deltanas.screen.delta", "from ..tune import lora", "may import records, screen"),
        ("deltanas.llm.local", "from deltanas.propose import grammar", "llm may import llm"),
        ("deltanas.record.store", "from .. import search", "may import record, records"),
        ("deltanas.record.store", "def f():\n    import deltanas.config", "imports config"),
        ("deltanas.record.store", "import deltanas\nx = deltanas.tune.fit", "imports tune"),
        ("deltanas.config.schema", "import deltanas.tune", "config may import config"),
        ("deltanas.__main__", "from deltanas.search.run import run_search", "imports search"),
        ("deltanas", "from deltanas.search.run import run_search", "imports search"),
        ("deltanas.source", "from deltanas.screen import delta", "imports screen"),
        ("deltanas.helpers", "from deltanas.tune import Pair", "helpers may import helpers"),
        ("deltanas.evaluate.lane", "from omegaconf import DictConfig", "plain typed arguments"),
        ("deltanas.propose.prompt", "from torch import Tensor", "without torch"),
        ("deltanas.screen", "import transformers.utils", "without torch"),
        ("deltanas.tune.curation", "if TYPE_CHECKING:\n    import lightning", "without torch"),
        ("deltanas.search.loop", "from deltanas.evaluate.inside import train", "hostile code"),
        ("deltanas.search.slots", "from deltanas.cli.exits import visible", "imports cli"),
    ],
)
def test_the_checker_sees_a_violation(module: str, source: str, message: str) -> None:
    found = violations(module, source)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("deltanas.search.loop", "from deltanas import archive, propose, tune, config"),
        ("deltanas.cli.report", "from deltanas import report, search\nimport omegaconf"),
        ("deltanas.screen.delta", "from deltanas.records import Verdict\nfrom . import policy"),
        ("deltanas.tune.lora", "import torch\nfrom deltanas.tune.curation import pairs"),
        ("deltanas.evaluate.worker", "import deltanas\nplace = deltanas.__file__"),
        ("deltanas", "from deltanas.cli.api import run"),
        ("deltanas.config.compose", "from hydra.core.config_store import ConfigStore"),
    ],
)
def test_the_checker_accepts_what_the_law_allows(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_a_package_resolves_relative_imports_from_itself() -> None:
    assert imports_of("deltanas.screen", "from .delta import x", package=True) == {
        "deltanas.screen.delta.x"
    }
    assert imports_of("deltanas.screen.gates", "from .delta import x") == {
        "deltanas.screen.delta.x"
    }


def test_the_package_keeps_the_law() -> None:
    assert len(ROOMS) == 8
    assert [
        sentence
        for module, path in modules().items()
        for sentence in violations(
            module, path.read_text(encoding="utf-8"), package=path.name == "__init__.py"
        )
    ] == []


def test_every_imported_library_is_declared() -> None:
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    needs = [*project["dependencies"]]
    for extra, more in project["optional-dependencies"].items():
        needs += [] if extra in ("dev", "docs") else more
    declared = {canonicalize_name(Requirement(need).name) for need in needs}
    own = sys.stdlib_module_names | {"deltanas", "_typeshed"}  # _typeshed exists for mypy only
    providers = importlib.metadata.packages_distributions()
    undeclared = set()
    for module, path in modules().items():
        for name in imports_of(module, path.read_text(encoding="utf-8")):
            library = name.partition(".")[0]
            if library in own:
                continue
            owners = {canonicalize_name(owner) for owner in providers.get(library, [])}
            if not owners & declared:
                undeclared.add(f"{module} imports {library}")
    assert undeclared == set()


@pytest.mark.parametrize(
    "module",
    [
        "deltanas",
        "deltanas.__main__",
        "deltanas.cli.api",
        "deltanas.report.run.page",
        *(f"deltanas.{m}" for m in TORCH_FREE),
    ],
)
def test_importing_leaves_torch_out(module: str) -> None:
    heavy = sorted(BRINGS_TORCH | {"wandb", "matplotlib"})
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
