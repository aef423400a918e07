"""What README and the pages show can be typed: commands compose or parse, and settings exist.

A command that needs a GPU, a server, an account or a download says so in its comment. It is not
run, but what it sets is composed and checked like the rest.
"""

from __future__ import annotations

import ast
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from markdown_it import MarkdownIt
from markdown_it.token import Token

import deltanas
from deltanas.cli.api import Run
from deltanas.cli.completion import PROGRAMS, parser_of, script
from deltanas.config.compose import CONF, from_hydra, register
from deltanas.config.described import overview, sections
from deltanas.config.schema import Config
from deltanas.record.schema import definitions
from docs import made

ROOT = Path(__file__).parents[1]
PAPERS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
LANGUAGES = {"sh", "python", "diff", "text"}
KEYS = {setting.key: setting for section in sections() for setting in section.settings}
TOP = {section.name for section in sections()} - {""}
BUILT_IN = {".", "echo"}  # of the shell
SHIPPED = {"digits"}  # image sets that need no download
NEEDS = re.compile(r"\bneeds (.*)")


class Command(NamedTuple):
    """One command of a paper, with what its comment says that it needs."""

    words: tuple[str, ...]
    needs: str  # "a GPU with 24 GB, and a download"; empty: nothing


def blocks(path: Path) -> list[Token]:
    return [each for each in MarkdownIt().parse(path.read_text()) if each.type == "fence"]


def commands() -> Iterator[Command]:
    """Yield the commands of every paper, each once."""
    seen = set()
    for path in PAPERS:
        for block in blocks(path):
            if block.info != "sh":
                continue
            for line in block.content.replace("\\\n", " ").splitlines():
                needs = NEEDS.search(line.rpartition("# ")[2] if "# " in line else "")
                for words in split(shlex.split(line, comments=True)):
                    command = Command(words, needs[1] if needs else "")
                    if command not in seen:
                        seen.add(command)
                        yield command


def split(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the commands of a line, without where their output goes."""
    found: list[str] = []
    for before, word in pairwise(["", *words]):
        if word == "&&":
            yield tuple(found)
            found = []
        elif word not in (">", ">>") and before not in (">", ">>"):
            found.append(word)
    if found:
        yield tuple(found)


def inline(path: Path) -> Iterator[str]:
    """Yield the pieces of code in the running text of a paper."""
    text = path.read_text()
    for token in MarkdownIt().enable("table").parse(text):
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


@pytest.fixture(scope="module", autouse=True)
def schema() -> None:
    register()


@pytest.mark.parametrize("command", list(commands()), ids=lambda each: " ".join(each.words)[:80])
def test_a_command_can_be_typed(command: Command) -> None:
    name, *words = command.words
    needed: set[str] = set()
    if name == "deltanas" or command.words[:3] == ("python", "-m", "deltanas"):
        needed = composed(words if name == "deltanas" else words[2:])
    elif name.startswith("deltanas-"):
        needed = parsed(name.removeprefix("deltanas-"), words)
    elif name == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert all(f"\n{word}: " in makefile for word in words if "=" not in word)
        needed = {"a GPU"} if "bench-gpu" in words else set()
    elif name == "python":
        assert (ROOT / words[0]).is_file()
    elif name == "sqlite3":
        with sqlite3.connect(":memory:") as database:
            for definition in definitions().values():
                database.execute(definition)
            database.execute(words[1])
    elif name == "pip":
        needed = {"a download"}
    elif name == "wandb":
        needed = {"an account"}
    else:
        assert name in BUILT_IN, f"nothing looks at {name}"
    assert {each for each in needed if each not in command.needs} == set()


def composed(words: list[str]) -> set[str]:
    """Compose and check what the words of `deltanas` set; return what a run of it needs."""
    asked = get_args_parser().parse_args(words)
    if any(word.startswith("resume=") for word in asked.overrides):
        assert len(words) == 1
        return set()
    hydras = [word for word in asked.overrides if word.startswith("hydra")]
    ours = [word for word in asked.overrides if not word.startswith("hydra")]
    needed = {"a server"} if any("launcher" in word for word in hydras) else set()
    for way in ways(ours) if asked.multirun else [ours]:
        needed |= needs_of(*way)
    return set() if asked.cfg else needed


def ways(words: list[str]) -> list[list[str]]:
    """Return the overrides of a sweep with the first option of every group, and with the last."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
        found: list[list[str]] = [[], []]
        for override in overrides:
            key = override.get_key_element()
            swept = override.is_sweep_override()
            values = list(override.sweep_string_iterator()) if swept else [override.value()]
            if not (CONF / key).is_dir():
                values = values[:1]  # one seed stands for all
            for way, value in zip(found, (values[0], values[-1]), strict=True):
                way.append(f"{key}={value}")
    return found if found[0] != found[1] else found[:1]


@cache
def needs_of(*words: str) -> frozenset[str]:
    """Compose and check some overrides; return what a run with them needs."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = from_hydra(compose("config", overrides=list(words)))
    needed = set()
    if config.llm.model != "embedded" or config.executor.device == "cuda":
        needed.add("a GPU")
    unknown = {one.name for one in config.dataset.sets() if not one.class_folders} - SHIPPED
    if unknown or config.archive.name == "lemur":
        needed.add("a download")
    return frozenset(needed)


def parsed(name: str, words: list[str]) -> set[str]:
    """Parse the words of a program; return what it needs."""
    reader = parser_of(name)
    read = reader.parse_intermixed_args if name == "evaluate" else reader.parse_args
    options = read(words)
    if name == "evaluate":
        needs_of(*(word for word in options.overrides if not word.startswith("recipe.")))
    needs = {("dashboard", "push"): {"an account"}, ("lemur", "fetch"): {"a download"}}
    return needs.get((name, words[0] if words else ""), set())


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.name)
def test_what_is_named_in_a_text_exists(path: Path) -> None:
    assert {block.info for block in blocks(path)} <= LANGUAGES
    assert [code for code in inline(path) if not exists(code)] == []
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / link).exists(), link


def exists(code: str) -> bool:
    """Tell whether a piece of code names what there is, as far as it is a setting or a program."""
    first, *more = code.split()
    if first.startswith("deltanas-") and first.removeprefix("deltanas-").isalpha():
        known = first.removeprefix("deltanas-") in PROGRAMS
        return known and all(word in help_of(first) for word in more if word.startswith("--"))
    key, equals, value = first.partition("=")
    if "." in key and key.partition(".")[0] in TOP and not key.endswith(".py"):
        return key in KEYS
    if not equals or not value.islower() or not value.isidentifier():
        return True
    if (CONF / key).is_dir() or key in KEYS:
        options = {path.stem for path in (CONF / key).glob("*.yaml")}
        return value in options | set(KEYS[key].choices if key in KEYS else ())
    return key in {"resume", "key", "group"}


def help_of(program: str) -> str:
    return parser_of(program.removeprefix("deltanas-")).format_help()


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.name)
def test_python_uses_what_there_is(path: Path) -> None:
    for block in blocks(path):
        tree = ast.parse(block.content) if block.info == "python" else ast.Module([], [])
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                offers = {"deltanas": deltanas.__all__, "run": dir(Run)}.get(node.value.id)
                assert offers is None or node.attr in offers


def leaves(kind: Any, prefix: str = "") -> Iterator[str]:
    for each in fields(kind):
        value = getattr(kind, each.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}"


def test_every_setting_is_described_on_its_page_and_in_the_help() -> None:
    assert set(leaves(Config())) == KEYS.keys()
    assert [setting.key for setting in KEYS.values() if not setting.told] == []
    page, shown = made.keys(), overview(made.composed())
    assert [key for key in KEYS if f"| `{key}` |" not in page] == []
    assert [key for key in KEYS if f"  {key}=" not in shown] == []


def test_the_page_of_settings_says_where_numbers_come_from() -> None:
    told, values = made.read_option(CONF / "dataset" / "svhn.yaml")
    gate = next(one for one in values if one.key == "dataset.gate")
    assert told.startswith("SVHN (Netzer et al. 2011)")
    assert gate.value == "0.40"
    assert gate.note.startswith("twice the majority rate of 0.196")
    nested = made.read_option(CONF / "protocol" / "paper.yaml")[1]
    assert ("lora.lr", "1.0e-5", "") in nested
    page = made.keys()
    for path in CONF.glob("*/*.yaml"):
        assert f"### {path.parent.name}={path.stem}\n" in page


def test_columns_figures_and_verdicts_are_described() -> None:
    rows = f"{made.tables()}\n{made.figures()}\n{made.verdicts()}\n{made.recipes()}".splitlines()
    assert [row for row in rows if row.startswith("|") and "|  |" in row] == []
    page = (ROOT / "docs" / "files.md").read_text()
    source = "\n".join(path.read_text() for path in (ROOT / "deltanas").rglob("*.py"))
    stored = set(re.findall(r'(?:set_meta|add_seconds)\(\s*"(\w+)"', source))
    assert "confirm" in stored
    assert [key for key in stored if f"`{key}`" not in page] == []


def test_the_help_names_every_program_and_how_a_run_goes_on() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert {f"deltanas-{name}" for name in PROGRAMS} == scripts.keys() - {"deltanas"}
    template = (CONF / "config.yaml").read_text()
    assert [name for name in scripts if f" {name} " not in template] == []
    assert "resume=RUN_DIR" in template


def test_bash_completes_the_words_of_every_program(tmp_path: Path) -> None:
    (tmp_path / "completion").write_text(script())
    asked = """
        . completion && complete -p deltanas > /dev/null || exit 1
        COMP_WORDS=(deltanas-status --wa) COMP_CWORD=1
        _shtab_deltanas_status && echo "${COMPREPLY[@]}"
        COMP_WORDS=(deltanas-dashboard pu) COMP_CWORD=1
        _shtab_deltanas_dashboard && echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["--watch", "push"], done.stderr


def test_the_pages_build_strictly(tmp_path: Path) -> None:
    built = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(built, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "protocol.cycles" in (tmp_path / "keys.html").read_text()
