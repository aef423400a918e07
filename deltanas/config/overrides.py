"""What is wrong with an override, in words that Hydra and OmegaConf leave out."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from hydra.errors import OverrideParseException
from omegaconf.errors import MissingMandatoryValue

from deltanas.config.schema import Config

_AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.*)'")
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_RESERVED = ("null", "true", "false", "inf", "nan")  # which Hydra reads as no text
_UNKNOWN = re.compile(r"Could not override '([\w.]+)'")


def explained(error: Exception) -> str:
    """Return an error of theirs with its cause, or with the settings that may have been meant."""
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value; it must be given: {error.full_key}=VALUE"
    text = str(error).partition("\nConfig search path:")[0]
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read: {text.splitlines()[0]}{_quoted(error.override)}"
    if ambiguous := _AMBIGUOUS.match(text):
        word = ambiguous[1]
        return f"{word} names several values, which --multirun takes in turn{_quoted(word)}"
    if unknown := _UNKNOWN.match(text):
        name = unknown[1]
        meant = _like(name.rpartition(".")[2])
        return f"{unknown[0]}: there is no setting {name}" + (
            f"; did you mean {' or '.join(meant)}?" if meant else ""
        )
    if error.__cause__:
        text += f": {str(error.__cause__).partition(chr(10))[0]}"
    return text


def _quoted(word: str) -> str:
    """Return the hint how a value is taken as it is; empty where there is none."""
    key, _, value = word.partition("=")
    if not value:
        return ""
    asked = shlex.quote(f"{key}={_literal(value)}")
    return f"; one value that holds = or , or brackets is quoted, for the shell too: {asked}"


def override(key: str, value: str | float | bool | None) -> str:
    """Return the word, not yet quoted for a shell, by which Hydra gives a setting this value."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _RESERVED
        return f"{key}={value if plain else _literal(value)}"
    return f"{key}={json.dumps(value)}"


def _literal(text: str) -> str:
    """Return a text as Hydra quotes it: backslashes count as such before a quote only."""
    return '"' + re.sub(r'(\\*)("|$)', lambda m: 2 * m[1] + m[2].replace('"', '\\"'), text) + '"'


def _like(word: str) -> list[str]:
    """Return the dotted names of settings whose last word is nearest to this one."""
    names = list(_settings(Config()))
    near = get_close_matches(word, {name.rpartition(".")[2] for name in names}, n=1)
    return [name for name in names if name.rpartition(".")[2] in near]


def _settings(node: Any, prefix: str = "") -> Iterator[str]:
    for each in fields(node):
        value = getattr(node, each.name)
        yield f"{prefix}{each.name}"
        if is_dataclass(value):
            yield from _settings(value, f"{prefix}{each.name}.")
