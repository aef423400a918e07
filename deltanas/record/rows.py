"""Frozen values as table rows: the columns follow the fields of the dataclass, in their order."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from deltanas.records import Stage

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Cell = str | int | float | None
T = TypeVar("T", bound="DataclassInstance")

_SQL_TYPES: dict[type, str] = {
    str: "TEXT",
    int: "INTEGER",
    bool: "INTEGER",
    float: "REAL",
    tuple: "TEXT",
    Mapping: "TEXT",  # seconds by stage
}


def column_names(kind: type[DataclassInstance]) -> tuple[str, ...]:
    """Return the column names of a dataclass: its field names."""
    return tuple(field.name for field in fields(kind))


def column_definitions(kind: type[DataclassInstance]) -> list[str]:
    """Return one SQL column definition per field, for a STRICT table.

    Fields that admit None become nullable columns, tuples and mappings JSON, and enums text.
    Raises TypeError for a field whose type has no column.
    """
    definitions = []
    for name, base, nullable in _columns(kind):
        sql = "TEXT" if issubclass(base, StrEnum) else _SQL_TYPES.get(base)
        if sql is None:
            raise TypeError(f"{kind.__name__}.{name}: no column type for {base.__name__}")
        definitions.append(f"{name} {sql}" + ("" if nullable else " NOT NULL"))
    return definitions


def to_row(value: DataclassInstance) -> tuple[Cell, ...]:
    """Return the cells of one value, in the order of `column_names`.

    Lone surrogates, which UTF-8 cannot hold, become U+FFFD. Raises ValueError for NaN and
    infinity (SQLite would store NaN as "not measured") and for integers beyond 64 bits.
    """
    return tuple(_to_cell(field.name, getattr(value, field.name)) for field in fields(value))


def from_row(kind: type[T], row: tuple[Cell, ...]) -> T:
    """Return the value that `to_row` turned into these cells."""
    cells = zip(_columns(kind), row, strict=True)
    return kind(**{name: _from_cell(base, cell) for (name, base, _), cell in cells})


@cache
def _columns(kind: type[DataclassInstance]) -> tuple[tuple[str, type, bool], ...]:
    """Return (name, plain type, admits None) of every field."""
    hints = get_type_hints(kind)
    return tuple((name, *_base(hints[name])) for name in column_names(kind))


def _base(hint: Any) -> tuple[type, bool]:
    """Return the plain type behind a hint and whether it admits None."""
    if get_origin(hint) in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not type(None)]
        if len(members) != 1:
            raise TypeError(f"a column holds one type or None, found {hint}")
        return _base(members[0])[0], True
    base: type = get_origin(hint) or hint
    return base, False


def _to_cell(name: str, value: object) -> Cell:
    if value is None:
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}; it must be finite, or None when not measured")
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name} is {value}; a column holds 64 bits")
        return int(value)
    if isinstance(value, tuple):
        if not all(math.isfinite(item) for item in value):
            raise ValueError(f"{name} holds {value}; every item must be finite")
        return json.dumps(value)
    if isinstance(value, Mapping):
        return json.dumps(dict(value), allow_nan=False)
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _from_cell(base: type, cell: Cell) -> Any:
    if cell is None:
        return None
    if base is tuple:
        return tuple(json.loads(str(cell)))
    if base is Mapping:
        return {Stage(stage): seconds for stage, seconds in json.loads(str(cell)).items()}
    return base(cell)
