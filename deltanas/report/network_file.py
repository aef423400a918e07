"""A network as one file: its source under a docstring with its recipe and where it came from.

What stands in the docstring may come from an LLM; whatever it is, it stays in there.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from deltanas.records import Recipe, Scaling, UserError
from deltanas.source import fingerprint, strip_comments

_RECIPE = "recipe"  # the field that `read_recipe` looks for, one line of JSON
_INDENT, _WIDTH = 14, 99  # columns of a field's name, and of a line
_TITLE = "A network found by deltanas."


class RecipeError(UserError):
    """The recipe in a file cannot be read; the message says what is wrong with it."""


def network_file(
    code: str, fields: Sequence[tuple[str, str]], dataset: str, recipe: Recipe, *, again: str = ""
) -> str:
    """Return a network's source under a docstring with the fields, (name, text), and its recipe.

    `again` is the command that trains the file, on one line, so that it can be copied.

    What runs is what ran before: the syntax tree is the same without docstrings. The network's
    own comments and docstrings are left out, as baselines have none either.
    """
    known = json.dumps({"dataset": dataset, **asdict(recipe)}, allow_nan=False)
    told = [line for name, text in fields for line in _wrapped(name, text)]
    if again:
        told.append(f"{'again':<{_INDENT}}{_printable(again)}")
    lines = [_TITLE, "", *told, f"{_RECIPE:<{_INDENT}}{known}"]
    text = '"""' + "\n".join(map(_quoted, lines)) + '\n"""\n\n'
    try:
        body = strip_comments(code)
        if fingerprint(text + body) == fingerprint(code):
            return text + body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass  # an attempt that never compiled: nothing can be said of its parts
    return text + code


def read_recipe(text: str) -> tuple[str, Recipe] | None:
    """Return data set and recipe of a file that `network_file` made; None for any other file.

    Raises RecipeError for a recipe that was changed into none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\\d" in a string
            said = ast.get_docstring(ast.parse(text), clean=False) or ""
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # the screen says what is wrong with it
    lines = said.split("\n")
    found = [line for line in lines if line.startswith(f"{_RECIPE} ")]
    if lines[0] != _TITLE or not found:
        return None
    try:
        dataset, recipe = _recipe(json.loads(found[-1].removeprefix(_RECIPE)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecipeError(
            f"the recipe in its docstring cannot be read ({error}); it must be one line of JSON"
            " with the fields that deltanas-export writes"
        ) from error
    return dataset, recipe


def _recipe(known: Mapping[str, Any]) -> tuple[str, Recipe]:
    values = dict(known)
    dataset = values.pop("dataset")
    recipe = Recipe(**{**values, "scaling": Scaling(values["scaling"])})
    if not isinstance(dataset, str) or not isinstance(recipe.transform, str):
        raise TypeError("dataset and transform must be names")
    return dataset, recipe


def _wrapped(name: str, text: str) -> list[str]:
    """Return the lines of a field; those after the first begin with blanks, as no field does."""
    return textwrap.wrap(
        _printable(text),
        _WIDTH,
        initial_indent=f"{name:<{_INDENT}}",
        subsequent_indent=" " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _printable(text: str) -> str:
    """Return a text without controls, and with double underscores parted.

    The policy refuses some names that hold these, even in a text.
    """
    plain = "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text.replace("\u00a0", " ").replace("\u2009", " ")
    )
    return re.sub("__+", lambda run: " ".join(run[0]), plain)


def _quoted(line: str) -> str:
    """Return a line as it stands between triple quotes: no quote and no escape in it acts."""
    return re.sub('"{3,}', lambda run: run[0].replace('"', '\\"'), line.replace("\\", "\\\\"))
