"""What a comparison found: every group less its reference, paired over the seeds of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deltanas.records import Summary
from deltanas.report.comparison.cells import BLANK, Cell, Head, Table, TableRow, points
from deltanas.report.comparison.grouping import CONTROL, labels
from deltanas.report.comparison.groups import Group
from deltanas.report.formats import points as with_unit
from deltanas.report.spreads import Spread, spread

SENTENCES = 4  # groups that the head of the page tells of; the table has them all


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a run in which groups are held against each other."""

    key: str  # of the summary
    head: str
    sentence: str
    wide: bool = False


MEASURES = (  # what leads is the first that both groups measured
    Measure("confirmed_best_accuracy", "best, pp", "test accuracy of the best confirmed network"),
    Measure(
        "confirmed_improved_rate", "improved, pp", "rate of confirmed improvements", wide=True
    ),
    Measure("distinct_rate", "new, pp", "rate of new networks"),
    Measure("valid_rate", "valid, pp", "valid rate"),
    Measure("mean_first_epoch_accuracy", "mean, pp", "mean first-epoch accuracy", wide=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """One group less its reference."""

    name: str
    against: str
    seeds: int  # that both have
    differences: Mapping[str, Spread | None]  # by the key of a measure


def pairings(groups: Sequence[Group]) -> list[Pairing]:
    """Return every group less the reference of its dataset, archive and protocol.

    The reference is the control without an LLM, or where there is none the first group.
    """
    names = dict(zip(map(id, groups), labels([group.key for group in groups]), strict=True))
    found = []
    for members in _places(groups).values():
        controls = [group for group in members if group.key.llm == CONTROL]
        reference = (controls or members)[0]
        found += [
            Pairing(
                name=names[id(group)],
                against=names[id(reference)],
                seeds=len(_by_seed(group).keys() & _by_seed(reference).keys()),
                differences={each.key: _difference(group, reference, each) for each in MEASURES},
            )
            for group in members
            if group is not reference
        ]
    return found


def _places(groups: Sequence[Group]) -> Mapping[tuple[str, str, str], list[Group]]:
    places: dict[tuple[str, str, str], list[Group]] = {}
    for group in groups:
        place = (group.key.dataset, group.key.archive, group.key.protocol)
        places.setdefault(place, []).append(group)
    return places


def _by_seed(group: Group) -> dict[int, Summary]:
    return {run.summary.seed: run.summary for run in group.runs}


def _difference(group: Group, reference: Group, measure: Measure) -> Spread | None:
    ours, theirs = _by_seed(group), _by_seed(reference)
    pairs = [
        (getattr(ours[seed], measure.key), getattr(theirs[seed], measure.key))
        for seed in sorted(ours.keys() & theirs.keys())
    ]
    return spread(one - other for one, other in pairs if one is not None and other is not None)


def findings(groups: Sequence[Group], found: Sequence[Pairing]) -> list[str]:
    """Return what a page leads with, one sentence a group; it says where nothing can be said."""
    told = [sentence for pairing in found if (sentence := _sentence(pairing))]
    if told:
        left = len(told) - SENTENCES
        rest = [f"{left} more groups are in the table below."] if left > 0 else []
        return [*told[:SENTENCES], *rest]
    if found:
        return ["No group shares a seed with its reference: nothing can be paired."]
    if len(groups) != 1:
        return []
    gains = groups[0].spread("confirmed_best_gain")
    if gains is None:
        return ["One group, and nothing to hold it against; no network of it was confirmed."]
    return [
        f"The best confirmed network stands at {_interval(gains, with_unit)} against the best"
        " baseline, on the test split under fresh seeds."
    ]


def _sentence(pairing: Pairing) -> str:
    for measure in MEASURES:
        found = pairing.differences[measure.key]
        if found is not None:
            return (
                f"{pairing.name} against {pairing.against}: {_interval(found, with_unit)} in the"
                f" {measure.sentence}; {_meaning(found)}."
            )
    return ""


def _meaning(found: Spread) -> str:
    if found.low is None or found.high is None:
        return "one seed, so that another may say otherwise" if found.n == 1 else "all seeds agree"
    if found.low > 0:
        return "the interval lies above zero"
    return "the interval lies below zero" if found.high < 0 else "the interval holds zero"


def _interval(found: Spread, written: Callable[[float], str]) -> str:
    seeds = f"{found.n} seed{'s'[: found.n > 1]}"
    if found.low is None or found.high is None:
        return f"{written(found.mean)} ({seeds})"
    bounds = f"95 % interval {written(found.low)} to {written(found.high)}"
    return f"{written(found.mean)} ({bounds}, {seeds})"


def paired_table(found: Sequence[Pairing]) -> list[Table]:
    """Return the table of the differences in a list, which is empty where there is none."""
    shown = [m for m in MEASURES if any(pairing.differences[m.key] for pairing in found)]
    if not shown:
        return []
    rows = [
        TableRow(
            cells=(
                Cell(pairing.name),
                Cell(pairing.against),
                Cell(str(pairing.seeds)),
                *(_cell(pairing.differences[measure.key]) for measure in shown),
            )
        )
        for pairing in found
    ]
    return [
        Table(
            title="Paired differences",
            caption="A group less its reference, paired over the seeds that both have, in"
            " percentage points, with Student's 95 % interval. best: test accuracy of the best"
            " confirmed network. new: networks that the run did not have, of the attempts.",
            heads=(
                Head(title="group", left=True),
                Head(title="against", left=True),
                Head(title="seeds"),
                *(Head(title=measure.head, wide=measure.wide) for measure in shown),
            ),
            rows=tuple(rows),
        )
    ]


def _cell(found: Spread | None) -> Cell:
    if found is None:
        return Cell(BLANK)
    if found.low is None or found.high is None:
        return Cell(points(found.mean))
    return Cell(points(found.mean), f"{points(found.low)} to {points(found.high)}")
