"""Tables as text, for a terminal and a page alike, and how their figures are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deltanas.report.spreads import Spread

BLANK = "–"  # stands for what was not measured
Written = Callable[[float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Head of a column."""

    title: str
    left: bool = False  # text, not figures
    wide: bool = False  # on the page only: a terminal has 100 columns


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure, and beside it in small an interval or a range."""

    text: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One group, or one row of the paper."""

    cells: tuple[Cell, ...]
    paper: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Heads and rows under a title; the captions say what the figures mean."""

    title: str
    caption: str
    wide_caption: str = ""  # what there is to say beyond that on the page
    heads: tuple[Head, ...]
    rows: tuple[TableRow, ...]
    notes_on_terminal: bool = True


def figure(value: float | None, written: Written, note: str = "") -> Cell:
    """Return a figure with its note, or a blank where it was not measured."""
    return Cell(BLANK) if value is None else Cell(written(value), note)


def over_seeds(spread: Spread | None, written: Written, to: str = "–") -> Cell:
    """Return the mean over seeds with the range of seeds, which a single seed does not have."""
    if spread is None or spread.n == 1:
        return figure(spread.mean if spread else None, written)
    return Cell(written(spread.mean), f"{written(spread.smallest)}{to}{written(spread.largest)}")


def t_interval(spread: Spread | None) -> Cell:
    """Return Student's interval of a mean rate, which cannot leave [0, 1], in percent."""
    if spread is None or spread.low is None or spread.high is None:
        return Cell(BLANK)
    return Cell(between(max(0.0, spread.low), min(1.0, spread.high)))


def between(low: float | None, high: float | None) -> str:
    """Return an interval of rates in percent, `38.3–65.5`; empty where there is none."""
    return "" if low is None or high is None else f"{rate(low)}–{rate(high)}"


def rate(value: float) -> str:
    """Return a rate or accuracy in [0, 1] in percent, without the sign."""
    return one(100 * value)


def points(value: float) -> str:
    """Return a difference of accuracies in percentage points, without the unit."""
    return _signed(f"{100 * value:+.1f}")


def one(value: float) -> str:
    """Return a number with one decimal."""
    return _signed(f"{value:.1f}")


def two(value: float) -> str:
    """Return a number with two decimals."""
    return _signed(f"{value:.2f}")


def three(value: float) -> str:
    """Return a number with three decimals."""
    return _signed(f"{value:.3f}")


def whole(value: float) -> str:
    """Return a rounded number."""
    return _signed(f"{value:.0f}")


def _signed(text: str) -> str:
    """Return a number with a true minus sign, which zero does not have."""
    return text.replace("-", "−" if text.strip("-0.") else "")
