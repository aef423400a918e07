"""What mkdocs puts into the pages from the code: tables that cannot fall behind it.

A line `<!-- made: NAME -->` of a page becomes what PARTS[NAME] returns. Links to papers in the
root of the repository, as `../SECURITY.md`, lead to their pages here, and others out of docs/ to
none.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from deltanas.cli.completion import PROGRAMS, parser_of
from deltanas.config.comments import comments_of
from deltanas.config.compose import CONF, register
from deltanas.config.described import Section, Setting, sections
from deltanas.config.recipe import RecipeConfig
from deltanas.record.schema import definitions
from deltanas.records import (
    Attempt,
    Baseline,
    CycleSummary,
    Finalist,
    Retraining,
    Stage,
    Summary,
    UsedBaseline,
    Verdict,
)

ROOT = Path(__file__).parents[1]
PAPERS = {"SECURITY.md": "security.md", "CONTRIBUTING.md": "contributing.md"} | {
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
}
_MADE = re.compile(r"^<!-- made: ([\w.-]+) -->$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?:\.\./)?([^)#:]+?)(#[^)]*)?\)")
_ROWS: Mapping[str, tuple[type[Any], str]] = {
    "attempts": (Attempt, "Every reply, whatever became of it."),
    "baselines": (UsedBaseline, "Every baseline as the run used it, and networks that joined."),
    "cycles": (CycleSummary, "What every finished cycle came to."),
    "finalists": (Finalist, "The networks that were trained for `protocol.finalist_epochs`."),
    "repeats": (Finalist, "The same under another seed, where `protocol.finalist_repeats` asks."),
    "retrainings": (Retraining, "Single epochs under fresh seeds: races, and the confirm stage."),
    "meta": (object, "What the run tells of itself, as JSON by key."),
}
_OTHER_NAMES = {"source": (UsedBaseline, "origin")}  # of columns of `baselines`
_TOLD = {  # columns without a comment of their own
    (UsedBaseline, "recipe"): "how it trains, as JSON; what is made of it trains the same way",
    (UsedBaseline, "source"): "archive, or admitted: a candidate that joined the pool",
    (object, "key"): "see below",
    (object, "value"): "JSON",
    (UsedBaseline, "dataset"): "that it was trained on",
}


class Given(NamedTuple):
    """One value of a file in conf/."""

    key: str  # dotted
    value: str  # as it stands there; empty: what follows it is nested
    note: str  # where it comes from


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return a page with its made parts in place; mkdocs calls it."""
    made = _MADE.sub(lambda found: part(found[1]), markdown)
    return _LINK.sub(_inside, made)


def part(name: str) -> str:
    """Return a made part: one of PARTS, or a paper of the root without its title."""
    if name in PAPERS:
        return (ROOT / name).read_text(encoding="utf-8")
    return PARTS[name]()


def keys() -> str:
    """Return every key of the schema by section, and what the options of each group set."""
    node = composed()
    return "\n".join(line for section in sections() for line in _section(section, node))


def composed() -> Any:
    """Return the configuration of `python -m deltanas` without a word."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config")


def _section(section: Section, node: Any) -> Iterator[str]:
    yield f"\n## {section.name or 'Of the whole search'}\n"
    yield f"{_plain(section.told)}\n"
    yield "| key | as it is | may be | what it is |\n|---|---|---|---|"
    for one in section.settings:
        value = OmegaConf.select(node, one.key)
        yield _row(f"`{one.key}`", f"`{_shown(value)}`", _allowed(one), _plain(one.told))
    for one in section.settings:
        if any(one.choices.values()):
            yield f"\n`{one.key}`:\n"
            yield from (
                f"- `{choice}`" + (f": {_plain(told)}" if told else "")
                for choice, told in one.choices.items()
            )
    groups = [section.name] if section.name else ["ablation"]
    for path in sorted(path for group in groups for path in (CONF / group).glob("*.yaml")):
        yield from _option(path)


def _option(path: Path) -> Iterator[str]:
    """Yield what one option of a group says of itself, and the values that it sets."""
    told, values = read_option(path)
    yield f"\n### {path.parent.name}={path.stem}\n\n{_plain(told)}\n"
    for one in values:
        setting = f"{one.key}={one.value}" if one.value else one.key
        if one.value != path.stem and (one.value or one.note):  # its own name is in the title
            yield f"- `{setting}`" + (f": {_plain(one.note)}" if one.note else "")


def read_option(path: Path) -> tuple[str, list[Given]]:
    """Return the comment at the top of a file in conf/, and its values with their comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    whole = bool(lines) and lines[0].startswith("# @package _global_")
    top: list[str] = []
    values: list[Given] = []
    above: list[str] = []  # comments on lines of their own
    names: list[tuple[int, str]] = [] if whole else [(-1, path.parent.name)]
    skipped = -1  # what is deeper than this belongs to a text, or to Hydra's list
    for line in lines:
        depth, text = len(line) - len(line.lstrip()), line.strip()
        if not text or text.startswith("# @package") or (skipped >= 0 and depth > skipped):
            continue
        skipped = -1
        if text.startswith("#"):
            (above if values or names[1:] else top).append(text.lstrip("# "))
            continue
        bare, *note = re.split(r"\s+#\s", text, maxsplit=1)
        name, _, value = bare.partition(":")
        if value.strip() in ("|-", "|") or name == "defaults":
            skipped = depth
        if name != "defaults":
            names = [each for each in names if each[0] < depth] + [(depth, name)]
            value = "a text" if value.strip() in ("|-", "|") else value.strip()
            told = " ".join([*above, *note])
            values.append(Given(".".join(each for _, each in names), value, told))
        above = []
    return " ".join(top), values


def recipes() -> str:
    """Return the words recipe.* of deltanas-evaluate."""
    told = comments_of(RecipeConfig)
    rows = [
        _row(f"`recipe.{each.name}`", _plain(told[each.name])) for each in fields(RecipeConfig)
    ]
    return "\n".join(["| key | what it is |\n|---|---|", *rows])


def tables() -> str:
    """Return the tables of run.sqlite with their columns."""
    made = definitions()
    if made.keys() != _ROWS.keys():
        raise ValueError(f"run.sqlite has {sorted(made)}, and {sorted(_ROWS)} are described")
    lines: list[str] = []
    with sqlite3.connect(":memory:") as database:
        for name, (kind, told) in _ROWS.items():
            database.execute(made[name])
            columns = database.execute(f"PRAGMA table_info({name})").fetchall()
            lines += [f"\n### {name}\n\n{told}\n", "| column | type | what it is |\n|---|---|---|"]
            lines += [
                _row(f"`{column}`", _sql(sql, bool(needed)), _plain(column_told(kind, column)))
                for _, column, sql, needed, _, _ in columns
            ]
    return "\n".join(lines)


def column_told(kind: type[Any], column: str) -> str:
    """Return what a column of a table is; empty where nothing says it."""
    found, name = kind, column
    if kind is UsedBaseline:
        of = Baseline if column in comments_of(Baseline) else UsedBaseline
        found, name = _OTHER_NAMES.get(column, (of, column))
    comment = comments_of(found).get(name, "") or _TOLD.get((kind, column), "")
    closed = _closed(get_type_hints(found).get(name)) if is_dataclass(found) else ""
    return "; ".join(filter(None, (comment, closed)))


def figures() -> str:
    """Return the keys of summary.json."""
    told, hints = comments_of(Summary), get_type_hints(Summary)
    lines = ["| key | type | what it is |\n|---|---|---|"]
    for each in fields(Summary):
        if each.name == "seconds":
            stages = comments_of(Stage)
            lines += [
                _row(f"`seconds_{stage}`", "number or null", _plain(stages[stage.name]))
                for stage in Stage
            ]
        else:
            kind = _json(hints[each.name])
            lines.append(_row(f"`{each.name}`", kind, _plain(told[each.name])))
    return "\n".join(lines)


def verdicts() -> str:
    """Return every verdict with what it says to people, and to the LLM that is asked again."""
    rows = [_row(f"`{one}`", _plain(one.for_people), _plain(one.advice)) for one in Verdict]
    return "\n".join(["| verdict | what it says | what the LLM is told |\n|---|---|---|", *rows])


def programs() -> str:
    """Return what --help of every program prints, but for `deltanas`."""
    return "\n\n".join(
        f"## deltanas-{name}\n\n```text\n{parser_of(name).format_help().rstrip()}\n```"
        for name in PROGRAMS
    )


PARTS: Mapping[str, Callable[[], str]] = {
    "keys": keys,
    "recipes": recipes,
    "tables": tables,
    "figures": figures,
    "verdicts": verdicts,
    "programs": programs,
}


def _inside(found: re.Match[str]) -> str:
    text, target, anchor = found[1], found[2], found[3] or ""
    if target in PAPERS:
        return f"[{text}]({PAPERS[target]}{anchor})"
    outside = not (ROOT / "docs" / target).exists() and (ROOT / target).exists()
    return f"`{target}`" if outside else found[0]


def _allowed(one: Setting) -> str:
    return ", ".join(f"`{each}`" for each in one.choices) or _plain(one.allowed)


def _shown(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    text = yaml.safe_dump(
        OmegaConf.to_container(value) if OmegaConf.is_config(value) else value,
        default_flow_style=True,
        width=10**6,
    )
    text = text.removesuffix("\n...\n").strip()
    first = str(value).split("\n")[0]
    return _cell(text if "\n" not in str(value) else f"{first} ...")


def _sql(kind: str, needed: bool) -> str:
    return kind.lower() if needed else f"{kind.lower()} or null"


def _json(hint: Any) -> str:
    names: dict[Any, str] = {str: "text", int: "whole number", float: "number"}
    members = [each for each in get_args(hint) if each is not type(None)]
    if type(None) in get_args(hint):
        return f"{names[members[0]]} or null"
    return names.get(hint, "object")


def _closed(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, Enum) and hint is not Verdict:
        return " | ".join(str(member.value) for member in hint)
    return ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")


@cache
def _signs() -> dict[int, str]:
    return {ord(char): f"\\{char}" for char in "|*<>[]"}


def _plain(text: str) -> str:
    """Return a text of the code as Markdown that shows it as it is; `code` in it stays code."""
    parts: Sequence[str] = text.split("`")
    return "`".join(
        each.translate(_signs()) if number % 2 == 0 else _cell(each)
        for number, each in enumerate(parts)
    )
