"""Older files of runs, made into those of today."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

MIGRATED = (4, 5)  # the older schema versions that are brought up to date

_CYCLE_STAGES = ("baselines", "generate", "screen", "evaluate", "tune", "record")
UNTOLD = "not recorded by the version that made this run"


def upgrade(
    connection: sqlite3.Connection, tables: Mapping[str, str], found: int, version: int
) -> None:
    """Bring a file of schema version `found` to `version`, in the caller's transaction.

    `tables` holds today's definitions.
    """
    if found == 4:
        _from_version_4(connection, tables)
    else:
        _replace(connection, "baselines", tables["baselines"], {"graph": "NULL"})
    _rewrite_config(connection)
    _replace(connection, "cycles", tables["cycles"], {"distinct_valid": "NULL"})
    new = {"graph": "NULL", "repairs": "NULL", "writer": "''"}
    _replace(connection, "attempts", tables["attempts"], new)
    connection.execute(tables["retrainings"])
    meta = "UPDATE meta SET value = ? WHERE key = 'schema_version'"
    connection.execute(meta, (json.dumps(version),))


def _from_version_4(connection: sqlite3.Connection, tables: Mapping[str, str]) -> None:
    """Make baselines and cycles anew.

    Version 4 kept no verdict of a baseline, so it is NULL where the baseline did not train, and
    it kept the seconds of a cycle's stages in columns.
    """
    columns = ", ".join(f"seconds_{stage}" for stage in _CYCLE_STAGES)
    connection.create_function("by_stage", len(_CYCLE_STAGES), _by_stage)
    _replace(
        connection,
        "baselines",
        tables["baselines"],
        {
            "verdict": "CASE WHEN proxy_accuracy IS NULL THEN NULL ELSE 'trained' END",
            "reason": f"CASE WHEN proxy_accuracy IS NULL THEN '{UNTOLD}' ELSE '' END",
            "graph": "NULL",
        },
    )
    new = {"seconds": f"by_stage({columns})", "distinct_valid": "NULL"}
    _replace(connection, "cycles", tables["cycles"], new)


def _rewrite_config(connection: sqlite3.Connection) -> None:
    """Bring the keys of the configuration up to date.

    Version 4 named the executor, which was always the same; up to version 5 `proposer` was a
    name, which now stands in a group with its options.
    """
    for (text,) in connection.execute("SELECT value FROM meta WHERE key = 'config'").fetchall():
        config = json.loads(text)
        config.get("executor", {}).pop("name", None)
        if isinstance(config.get("proposer"), str):
            config["proposer"] = {"name": config["proposer"]}
        meta = "UPDATE meta SET value = ? WHERE key = 'config'"
        connection.execute(meta, (json.dumps(config),))


def _by_stage(*seconds: float) -> str:
    """Return the JSON of a cycle's seconds; SQLite's own writes 15 digits, too few for some."""
    return json.dumps(dict(zip(_CYCLE_STAGES, seconds, strict=True)))


def _replace(
    connection: sqlite3.Connection, table: str, definition: str, new: Mapping[str, str]
) -> None:
    """Make a table anew; its columns keep their values, `new` ones come from expressions."""
    connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    connection.execute(definition)
    names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(new.get(name, name) for name in names)
    connection.execute(f"INSERT INTO {table} SELECT {values} FROM old_{table} ORDER BY rowid")
    connection.execute(f"DROP TABLE old_{table}")
