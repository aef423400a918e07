"""The tables of a run's file, and baselines as rows of theirs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from deltanas.record.rows import Cell, column_definitions
from deltanas.records import (
    Attempt,
    Baseline,
    CycleSummary,
    Finalist,
    Origin,
    Recipe,
    Retraining,
    Scaling,
    UsedBaseline,
    Verdict,
)

VERSION = 6

_ACCURACY_NEEDS_TRAINING = (
    "CHECK (verdict = 'trained' OR (proxy_accuracy IS NULL AND first_epoch_accuracy IS NULL))"
)
_TABLES: dict[str, tuple[type[Any], list[str]]] = {
    "attempts": (
        Attempt,
        ["PRIMARY KEY (attempt_id)", "UNIQUE (cycle, slot)", _ACCURACY_NEEDS_TRAINING],
    ),
    "cycles": (CycleSummary, ["PRIMARY KEY (cycle)"]),
    "finalists": (Finalist, ["PRIMARY KEY (attempt_id)"]),
    "repeats": (Finalist, ["PRIMARY KEY (attempt_id)"]),
    "retrainings": (Retraining, ["PRIMARY KEY (network_id, dataset, purpose, number)"]),
}
_META = "CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT"
_BASELINES = """CREATE TABLE baselines (
  baseline_id TEXT NOT NULL, dataset TEXT NOT NULL, family TEXT NOT NULL, code TEXT NOT NULL,
  recipe TEXT NOT NULL, parent_id TEXT, proxy_accuracy REAL, first_epoch_accuracy REAL,
  source TEXT NOT NULL CHECK (source IN ('archive', 'admitted')),
  verdict TEXT, reason TEXT NOT NULL, graph TEXT,
  PRIMARY KEY (baseline_id, dataset),
  CHECK (verdict = 'trained' OR proxy_accuracy IS NULL)) STRICT"""


def definitions() -> dict[str, str]:
    """Return what creates each table."""
    tables = {"meta": _META, "baselines": _BASELINES}
    for table, (kind, constraints) in _TABLES.items():
        lines = ", ".join(column_definitions(kind) + constraints)
        tables[table] = f"CREATE TABLE {table} ({lines}) STRICT"
    return tables


def baseline_row(used: UsedBaseline) -> tuple[Cell, ...]:
    """Return the cells of a baseline."""
    baseline = used.baseline
    return (
        baseline.baseline_id,
        used.dataset,
        baseline.family,
        baseline.code,
        json.dumps(asdict(baseline.recipe), allow_nan=False),
        baseline.parent_id,
        baseline.proxy_accuracy,
        used.first_epoch_accuracy,
        used.origin.value,
        None if used.verdict is None else used.verdict.value,
        used.reason,
        used.graph,
    )


def used_baseline(row: Sequence[Any]) -> UsedBaseline:
    """Return the baseline of a row."""
    name, dataset, family, code, recipe, parent, proxy, first, source, verdict, reason, graph = row
    found = json.loads(recipe)
    if not isinstance(found["image_size"], int):  # it becomes a part of file names, and of code
        raise ValueError(f"image_size of {name} is {found['image_size']!r}; it must be a number")
    return UsedBaseline(
        baseline=Baseline(
            baseline_id=name,
            family=family,
            code=code,
            recipe=Recipe(**{**found, "scaling": Scaling(found["scaling"])}),
            parent_id=parent,
            proxy_accuracy=proxy,
        ),
        dataset=dataset,
        origin=Origin(source),
        verdict=None if verdict is None else Verdict(verdict),
        reason=reason,
        first_epoch_accuracy=first,
        graph=graph,
    )
