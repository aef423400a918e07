"""The built wheel, installed elsewhere, is the whole program; the pins match the ranges."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """Return what a command prints on stdout; a command that fails shows its stderr."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment that borrows all libraries; return its bin."""
    home = tmp_path_factory.mktemp("home")
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    (site,) = home.glob("lib/python*/site-packages")
    # Path files in a borrowed folder are not read: an editable install there stays invisible.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", "--ignore-installed", wheel, cwd=home)
    return home / "bin"


def test_wheel_holds_the_package_and_its_configuration_only(wheel: Path) -> None:
    caches = {"__pycache__", ".ruff_cache", ".mypy_cache"}
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {
        path.relative_to(ROOT).as_posix().replace("conf/", "deltanas/conf/", top == "conf")
        for top in ("conf", "deltanas")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and not caches & set(path.parts)
    }
    assert {"deltanas/__main__.py", "deltanas/conf/config.yaml"} <= names


def test_installed_program_is_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = "import deltanas; print(deltanas.__file__)"
    where = Path(run(installed / "python", "-c", code, cwd=tmp_path).strip())
    assert where.is_relative_to(installed.parent)


def test_installed_program_shows_help_fast(installed: Path, tmp_path: Path) -> None:
    seconds = []  # processor time of a child; the first one also compiles bytecode
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        text = run(installed / "deltanas", "--help", cwd=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert "llm" in text
    assert "ablation" in text
    assert min(seconds) < 1.5, f"--help took {min(seconds):.2f} s of processor time"


def test_installed_program_says_its_version(installed: Path, tmp_path: Path) -> None:
    text = run(installed / "deltanas", "--version", cwd=tmp_path)
    assert re.fullmatch(r"deltanas \d+\.\d+\.\d+\n", text)


def test_installed_program_composes_the_configuration(installed: Path, tmp_path: Path) -> None:
    text = run(installed / "deltanas", "--cfg", "job", "protocol.cycles=2", cwd=tmp_path)
    assert "cycles: 2" in text
    assert text == run(
        installed / "python", "-m", "deltanas", "--cfg", "job", "protocol.cycles=2", cwd=tmp_path
    )
    assert list(tmp_path.iterdir()) == []


def test_installed_lemur_program_shows_help(installed: Path, tmp_path: Path) -> None:
    assert "fetch" in run(installed / "deltanas-lemur", "--help", cwd=tmp_path)


def test_installed_report_program_shows_help(installed: Path, tmp_path: Path) -> None:
    assert "--output" in run(installed / "deltanas-report", "--help", cwd=tmp_path)


def test_installed_evaluate_program_shows_help(installed: Path, tmp_path: Path) -> None:
    assert "recipe.lr" in run(installed / "deltanas-evaluate", "--help", cwd=tmp_path)


def test_installed_export_program_shows_help(installed: Path, tmp_path: Path) -> None:
    assert "--adapter" in run(installed / "deltanas-export", "--help", cwd=tmp_path)


def test_installed_package_offers_its_calls(installed: Path, tmp_path: Path) -> None:
    code = "import deltanas; print(deltanas.open_run.__module__, deltanas.__file__)"
    module, where = run(installed / "python", "-c", code, cwd=tmp_path).split()
    assert module == "deltanas.cli.api"
    assert Path(where).is_relative_to(installed.parent)


def test_installed_replay_program_shows_help(installed: Path, tmp_path: Path) -> None:
    assert "--study" in run(installed / "deltanas-replay", "--help", cwd=tmp_path)


def test_installed_status_program_shows_help(installed: Path, tmp_path: Path) -> None:
    assert "--watch" in run(installed / "deltanas-status", "--help", cwd=tmp_path)


def test_installed_dashboard_program_shows_help(installed: Path, tmp_path: Path) -> None:
    assert "push" in run(installed / "deltanas-dashboard", "--help", cwd=tmp_path)


def test_constraints_satisfy_every_range() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if pin.url or [s.operator for s in pin.specifier] != ["=="]] == []
    versions = {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in pins}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for text in [*project["dependencies"], *(text for extra in extras for text in extra)]:
        wanted = Requirement(text)
        version = versions.get(canonicalize_name(wanted.name))
        assert version is not None, f"constraints.txt names no version of {wanted.name}"
        assert wanted.specifier.contains(version), f"{wanted} does not admit {version}"
