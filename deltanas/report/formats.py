"""Figures as people read them: percent, signs, durations, what is missing; safe texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NOT_MEASURED = "not measured"
GAP = "\u00a0"  # keeps a number and its unit on one line


def percent(value: float | None, digits: int = 1) -> str:
    """Return a rate or accuracy in [0, 1] as a percentage: 0.8333 is `83.3 %`."""
    return NOT_MEASURED if value is None else f"{100 * value:.{digits}f}{GAP}%"


def percent_range(low: float | None, high: float | None) -> str:
    """Return an interval of rates: `70.4 to 91.3 %`."""
    if low is None or high is None:
        return NOT_MEASURED
    return f"{100 * low:.1f} to {100 * high:.1f}{GAP}%"


def points(value: float | None) -> str:
    """Return a difference of accuracies in percentage points: 0.012 is `+1.2 pp`."""
    return NOT_MEASURED if value is None else f"{100 * value:+.1f}{GAP}pp".replace("-", "−")


def decimal(value: float | None, digits: int = 1) -> str:
    """Return a number with a fixed count of decimals and a true minus sign."""
    return NOT_MEASURED if value is None else f"{value:.{digits}f}".replace("-", "−")


def count(value: float | None) -> str:
    """Return a whole number with narrow spaces between thousands: `12 345`."""
    return NOT_MEASURED if value is None else f"{value:,.0f}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Return a duration: `8.4 s`, `2 min 05 s`, `3 h 20 min`."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def about(seconds: float) -> str:
    """Return an estimate of a duration: `about 25 s`, `about 3 min`, `about 2 h 10 min`."""
    if seconds < 90:
        return f"about {5 * max(1, round(seconds / 5))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min"
    hours, rest = divmod(round(minutes, -1), 60)
    return f"about {hours} h" + (f" {rest:02d} min" if rest else "")


def visible(text: str) -> str:
    """Return a text without what could steer a terminal or not be encoded."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def dotted(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, value as text) for every leaf of a nested mapping."""
    for key, item in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            yield from dotted(item, f"{name}.")
        else:
            yield name, str(item)
