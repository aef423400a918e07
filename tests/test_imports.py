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
ROOMS = {"archive", "propose", "screen", "evaluate", "tune", "record"}
# the modules that know several rooms, and those that know Hydra
CORRIDORS = {"__main__", "opening", "llms", "corpus", "search", "lessons", "study"} | {
    "evaluate_cli",
    "evaluating",
    "replay",
}
CONFIGURED = CORRIDORS | {"config", "overrides", "recipe"}
TORCH_FREE = ("screen", "tune.curation", "record.metrics", "propose.prompt")
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
    """Return one sentence for each import of `module` that breaks the law."""
    inside = module.partition(".")[2]  # "screen.delta"; empty for deltanas itself
    place = inside.partition(".")[0]
    imported = imports_of(module, source, package=package)
    broken = []

    used_rooms = set()
    for name in imported:
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if top != "deltanas":
            continue
        if target in ROOMS:
            used_rooms.add(target)
        if place in ROOMS and target not in {place, "records", "source", ""}:
            broken.append(f"{module} imports {name}; a room imports records, source and itself")
    if place not in ROOMS | CORRIDORS and len(used_rooms) > 1:
        broken.append(
            f"{module} imports {sorted(used_rooms)}; only search and study know several rooms"
        )

    libraries = {name.partition(".")[0] for name in imported}
    if place not in CONFIGURED and libraries & {"hydra", "omegaconf"}:
        broken.append(f"{module} imports Hydra; configuration stops at __main__, search, study")
    if any(inside == free or inside.startswith(f"{free}.") for free in TORCH_FREE):
        broken += [
            f"{module} imports {library}; it must work without torch"
            for library in sorted(libraries & BRINGS_TORCH)
        ]
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
        ("deltanas.screen.delta", "import deltanas.evaluate", "a room imports records"),
        ("deltanas.screen.delta", "from deltanas import tune", "a room imports records"),
        ("deltanas.screen.delta", "from ..tune import lora", "a room imports records"),
        ("deltanas.record.store", "from .. import search", "a room imports records"),
        (
            "deltanas.record.store",
            "def f():\n    import deltanas.config.schema",
            "a room imports records",
        ),
        ("deltanas.record.store", "import deltanas\nx = deltanas.tune.fit", "a room imports"),
        ("deltanas.helpers", "import deltanas.tune, deltanas.screen", "only search and study"),
        ("deltanas.propose.prompt", "from omegaconf import DictConfig", "configuration stops"),
        ("deltanas.propose.prompt", "from torch import Tensor", "without torch"),
        ("deltanas.screen", "import transformers.utils", "without torch"),
        ("deltanas.tune.curation", "if TYPE_CHECKING:\n    import lightning", "without torch"),
    ],
)
def test_the_checker_sees_a_violation(module: str, source: str, message: str) -> None:
    found = violations(module, source)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("deltanas.search.loop", "from deltanas import archive, propose, tune\nimport omegaconf"),
        ("deltanas.screen.delta", "from deltanas.records import Verdict\nfrom . import policy"),
        ("deltanas.tune.lora", "import torch\nfrom deltanas.tune.curation import pairs"),
        ("deltanas.evaluate.worker", "import deltanas\nplace = deltanas.__file__"),
        ("deltanas.config.schema", "from hydra.core.config_store import ConfigStore"),
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
    found = modules()
    assert {f"deltanas.{room}" for room in ROOMS} <= set(found)
    assert [
        sentence
        for module, path in found.items()
        for sentence in violations(
            module, path.read_text(encoding="utf-8"), package=path.name == "__init__.py"
        )
    ] == []


def test_every_imported_library_is_declared() -> None:
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    needs = [*project["dependencies"]]
    for extra, more in project["optional-dependencies"].items():
        needs += [] if extra == "dev" else more
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


@pytest.mark.parametrize("module", ["deltanas.__main__", *(f"deltanas.{m}" for m in TORCH_FREE)])
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
