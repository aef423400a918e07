"""What values a setting may have: ranges that stand at the fields, and the sentence on a fault."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import field, fields, is_dataclass
from typing import Any

from deltanas.records import UserError


class ConfigError(UserError):
    """Values of the configuration that cannot hold; the message names every one of them."""


def bounded(default: Any, low: float, high: float = math.inf, *, open_low: bool = False) -> Any:
    """Return a field whose value must lie in [low, high], or in (low, high] when open."""
    return field(default=default, metadata={"low": low, "high": high, "open_low": open_low})


def faults_of(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield one sentence for every value out of its range: what was found and must hold."""
    for each in fields(node):
        value, key = getattr(node, each.name), f"{prefix}{each.name}"
        if is_dataclass(value):
            yield from faults_of(value, f"{key}.")
        elif isinstance(value, dict):
            for name, member in value.items():
                yield from faults_of(member, f"{key}.{name}.")
        elif each.metadata and isinstance(value, int | float):
            low, high = each.metadata["low"], each.metadata["high"]
            strict = each.metadata["open_low"]
            if not (low <= value <= high) or (strict and value == low):
                bound = f"above {low:.12g}" if strict else f"at least {low:.12g}"
                limit = "" if high == math.inf else f" and at most {high:.12g}"
                yield f"{key}={value} is out of range; it must be {bound}{limit}"
        elif key == "executor.workers" and value is not None and value < 1:
            yield f"{key}={value} is out of range; it must be at least 1, or null for one per core"
