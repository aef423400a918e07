"""Which network of a run is the best, by the strictest measure that the run has of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from deltanas.records import Attempt, Run, UserError, Verdict
from deltanas.report.confirmation import confirm_epochs, confirmed_best


class Best(StrEnum):
    """By which validation accuracy the best network is chosen, the strictest first."""

    confirmed = "confirmed"  # the mean under fresh seeds
    final = "final"  # after the epochs of the study
    proxy = "proxy"  # after one epoch under the seed of the search


class NoNetworkError(UserError):
    """A run holds no such network; the message says what it holds instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A network of a run, and why it is the one."""

    row: Attempt
    reason: str  # a sentence without its full stop


def attempt_of(run: Run, name: str) -> Choice:
    """Return an attempt by its id. Raises NoNetworkError where it has no network."""
    rows = {row.attempt_id: row for row in run.attempts}
    row = rows.get(name)
    if row is None:
        held = f"{min(rows)} to {max(rows)}" if rows else "none"
        raise NoNetworkError(f"there is no attempt {name}; the run has {held}")
    if not row.code:
        raise NoNetworkError(f"attempt {name} left no network: {row.verdict}, {row.reason}")
    return Choice(row=row, reason="asked for by its id")


def best_of(run: Run, kind: Best | None = None, dataset: str | None = None) -> Choice:
    """Return the best network of a run on a data set, which may be left out where there is one.

    Only validation accuracies decide. None stands for the strictest measure that the run has.
    Raises NoNetworkError.
    """
    dataset = _dataset(run, dataset)
    rows = {
        row.attempt_id: row
        for row in run.attempts
        if row.dataset == dataset and row.distinct and not row.degenerate and row.code
    }
    if not rows:
        found = Counter(row.verdict for row in run.attempts if row.dataset == dataset)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in found.most_common())
        raise NoNetworkError(
            f"no network of the run learned anything on {dataset} (attempts by verdict:"
            f" {verdicts}); --attempt ID takes any that has code"
        )
    for each in (kind,) if kind else Best:
        scores = _SCORES[each](run, dataset, rows)
        if scores:
            name = min(scores, key=lambda name: (-scores[name], name))
            return Choice(row=rows[name], reason=_reason(run, each, len(scores)))
    raise NoNetworkError(f"{_MISSING[kind or Best.proxy]}; --best proxy takes what one epoch says")


def _dataset(run: Run, asked: str | None) -> str:
    known = sorted({row.dataset for row in run.attempts})
    if not known:
        raise NoNetworkError("the run holds no attempts yet, and so no network")
    if asked is None and len(known) == 1:
        return known[0]
    if asked not in known:
        found = f"there is no data set {asked} in the run" if asked else "the run has several"
        raise NoNetworkError(f"{found}; name one of them: --dataset {'|'.join(known)}")
    return asked


def _confirmed(run: Run, dataset: str, rows: Mapping[str, Attempt]) -> dict[str, float]:
    found = confirmed_best(run).get(dataset, {})
    return {name: fmean(each) for name, each in found.items() if name in rows}


def _final(run: Run, dataset: str, rows: Mapping[str, Attempt]) -> dict[str, float]:
    return {
        each.attempt_id: each.curve[-1]
        for each in run.finalists
        if each.verdict is Verdict.TRAINED
        and each.curve
        and each.final_accuracy is not None
        and each.attempt_id in rows
    }


def _proxy(run: Run, dataset: str, rows: Mapping[str, Attempt]) -> dict[str, float]:
    return {
        name: row.proxy_accuracy for name, row in rows.items() if row.proxy_accuracy is not None
    }


_SCORES: Mapping[Best, Callable[[Run, str, Mapping[str, Attempt]], dict[str, float]]] = {
    Best.confirmed: _confirmed,
    Best.final: _final,
    Best.proxy: _proxy,
}
_MISSING: Mapping[Best, str] = {
    Best.confirmed: "the run confirmed no network: confirm.best was 0, or it broke off before",
    Best.final: "the run has no finalist that trained: protocol.finalists was 0, or it broke off"
    " before",
    Best.proxy: "no network of the run trained",
}


def _reason(run: Run, kind: Best, candidates: int) -> str:
    if kind is Best.confirmed:
        seeds = len({again.number for found in confirm_epochs(run).values() for again in found})
        return (
            f"best confirmed: the highest mean validation accuracy under {seeds} fresh seeds, of"
            f" the {candidates} that were confirmed as the best"
        )
    if kind is Best.final:
        epochs = max(len(each.curve) for each in run.finalists)
        return (
            f"best final: the highest validation accuracy after {epochs} epochs, of the"
            f" {candidates} finalists"
        )
    return (
        f"best proxy: the highest validation accuracy after one epoch under one seed, of"
        f" {candidates} networks, which is noise for a part"
    )
