"""What every setting is: what it may be, and what stands at its field in the schema."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

from deltanas.config.comments import comments_of
from deltanas.config.schema import Config

_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_LEFT = 38  # columns for key=value in the help
_WIDEST = 110  # columns of the help


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key of the configuration."""

    key: str  # dotted
    kind: str  # "number", "text or null"; empty where `choices` say it
    choices: Mapping[str, str]  # of a closed list, with what each means; empty: it is none
    bounds: str  # "1 or more", "0 to 2"; empty: there are none
    told: str  # what it is, without a full stop

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        return " | ".join(self.choices) or ", ".join(filter(None, (self.kind, self.bounds)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The settings that stand together."""

    name: str  # "llm"; empty: those of the top
    told: str  # what they are about, with full stops
    settings: tuple[Setting, ...]


def sections() -> Iterator[Section]:
    """Yield the settings of the top, and then those of every section, in the schema's order."""
    hints = get_type_hints(Config)
    parts = [each.name for each in fields(Config) if is_dataclass(hints[each.name])]
    yield Section(name="", told="One search.", settings=_settings(Config, "", leave=parts))
    for name in parts:
        kind: type[Any] = hints[name]
        told = " ".join((kind.__doc__ or "").split())
        yield Section(name=name, told=told, settings=_settings(kind, f"{name}."))


def overview(node: Mapping[str, Any]) -> str:
    """Return every setting with its value in a configuration, for a terminal."""
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 0)).columns)
    lines: list[str] = []
    for section in sections():
        if section.name:
            told = f"{section.name}: {section.told}"
            lines += ["", *textwrap.wrap(told, width, subsequent_indent="  ")]
        values = node[section.name] if section.name else node
        for setting in section.settings:
            lines += _lines(setting, values[setting.key.rpartition(".")[2]], width)
    return "\n".join(lines)


def _lines(setting: Setting, value: Any, width: int) -> list[str]:
    left = f"  {setting.key}={_short(value)}"
    note = " | ".join(setting.choices) or setting.bounds
    right = textwrap.wrap(
        setting.told + (f" ({note})" if note else ""),
        max(30, width - _LEFT),
        break_long_words=False,
    )
    if len(left) >= _LEFT:
        right.insert(0, "")
    indented = [f"{'':{_LEFT}}{line}" for line in right[1:]]
    return [f"{left:{_LEFT}}{right[0] if right else ''}".rstrip(), *indented]


def _short(value: Any) -> str:
    """Return a value as it is given on the command line; of a long text the beginning."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = " ".join(str(value).split()).replace("'", "")
    return text if len(text) <= 40 else f"{text[:20]}..."


def _settings(kind: type[Any], prefix: str, leave: list[str] | None = None) -> tuple[Setting, ...]:
    hints, comments = get_type_hints(kind), comments_of(kind)
    return tuple(
        _setting(f"{prefix}{each.name}", each, hints[each.name], comments[each.name])
        for each in fields(kind)
        if each.name not in (leave or ())
    )


def _setting(key: str, each: Field[Any], hint: Any, comment: str) -> Setting:
    plain = [kind for kind in get_args(hint) if kind is not type(None)] or [hint]
    one: Any = plain[0] if type(None) in get_args(hint) else hint
    choices = {}
    if isinstance(one, type) and issubclass(one, Enum):
        told = comments_of(one)
        choices = {str(member.value): told[member.name] for member in one}
        comment = comment or _plain_sentence(one.__doc__ or "")
    kind = "" if choices else _kind(one)
    return Setting(
        key=key,
        kind=kind + (" or null" if type(None) in get_args(hint) else ""),
        choices=choices,
        bounds=_bounds(**each.metadata) if each.metadata else "",
        told=comment,
    )


def _bounds(low: float, high: float, open_low: bool) -> str:
    if high == math.inf:
        return f"above {low:.12g}" if open_low else f"{low:.12g} or more"
    return f"above {low:.12g}, to {high:.12g}" if open_low else f"{low:.12g} to {high:.12g}"


def _kind(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is list:
        return "list of texts"
    return "sets by name" if origin is dict else _KINDS[hint]


def _plain_sentence(text: str) -> str:
    first = text.partition("\n")[0].removesuffix(".")
    return first[:1].lower() + first[1:]
