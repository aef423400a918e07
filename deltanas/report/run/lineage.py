"""Who was edited into what: one lane for every network that was edited, its children in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deltanas.records import Attempt, Run
from deltanas.report.confirmation import improved
from deltanas.report.formats import points
from deltanas.report.metrics import is_valid

STEP = 13  # pixels from dot to dot
ROW = 24  # pixels from lane to lane
NAMES = 150  # pixels for the names of the archive's networks
TOP = 26  # pixels above the first lane, for the numbers of the cycles
SPREAD = 640  # pixels that few cycles share alike
ABREAST = 8  # dots of one lane and cycle beside each other; more go below
KINDS = {  # class of a dot: what it says
    "g3": "2 points or more above its parent",
    "g2": "up to 2 points above",
    "g1": "up to 5 points below",
    "g0": "further below",
    "gx": "did not train",
}

Key = tuple[str, str]  # data set and network


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One attempt."""

    attempt_id: str
    x: int
    y: int
    kind: str
    confirmed: bool  # it beat its parent under every fresh seed
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One network that was edited, and the attempts that edited it."""

    name: str
    attempt: bool  # an attempt of the run, not a network of the archive
    x: int  # where it was made
    y: int
    end: int
    above: int | None  # height of the dot that it is, in its parent's lane
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Every lane, in an order in which a network comes below the one that it was made of."""

    lanes: tuple[Lane, ...]
    cycles: tuple[tuple[int, int], ...]  # number and where it begins, pixels
    width: int
    height: int


def lineage_of(run: Run) -> Lineage | None:
    """Return the picture of a run, or None for one without attempts.

    Families stand in the order of the best network in them; gains are those of one seed.
    """
    if not run.attempts:
        return None
    children: dict[Key, list[Attempt]] = {}
    for attempt in run.attempts:
        children.setdefault((attempt.dataset, attempt.parent_id), []).append(attempt)
    starts, width = _columns(children)
    confirmed = set(improved(run))
    several = len({dataset for dataset, _ in children}) > 1
    lanes: list[Lane] = []
    places: dict[Key, Dot] = {}
    y = TOP
    for key in _ordered(children):
        made = places.get(key)
        after = made.x + STEP if made else 0  # within the cycle in which it was made
        dots = tuple(_dots(children[key], starts, after, y, confirmed))
        places |= {(key[0], dot.attempt_id): dot for dot in dots}
        lanes.append(
            Lane(
                name=f"{key[1]} ({key[0]})" if several and made is None else key[1],
                attempt=made is not None,
                x=made.x if made else NAMES,
                y=y,
                end=max(dot.x for dot in dots),
                above=made.y if made else None,
                dots=dots,
            )
        )
        y = max(dot.y for dot in dots) + ROW
    return Lineage(
        lanes=tuple(lanes), cycles=tuple(starts.items()), width=width, height=y - ROW // 2
    )


def _columns(children: Mapping[Key, Sequence[Attempt]]) -> tuple[dict[int, int], int]:
    """Return where every cycle begins, and where the last one ends."""
    widest: Counter[int] = Counter()
    for attempts in children.values():
        for cycle, number in Counter(attempt.cycle for attempt in attempts).items():
            widest[cycle] = max(widest[cycle], min(number, ABREAST))
    starts, x, least = {}, NAMES + STEP, min(SPREAD // len(widest), SPREAD // 8)
    for cycle in sorted(widest):
        starts[cycle] = x
        x += max(least, STEP * (widest[cycle] + 1))
    return starts, x


def _ordered(children: Mapping[Key, Sequence[Attempt]]) -> Iterator[Key]:
    """Yield every network that was edited, each after the one that it was made of."""
    made = {(a.dataset, a.attempt_id) for attempts in children.values() for a in attempts}
    best: dict[Key, float] = {}

    def below(key: Key) -> list[Key]:
        names = [(key[0], attempt.attempt_id) for attempt in children[key]]
        return [name for name in names if name in children]

    for key in [*children][::-1]:  # children come after their parents: theirs is known already
        own = [attempt.proxy_accuracy or 0.0 for attempt in children[key]]
        best[key] = max([*own, *(best[name] for name in below(key) if name in best)])
    roots = [key for key in children if key not in made]
    waiting = sorted(roots, key=lambda key: best[key])
    while waiting:
        key = waiting.pop()
        yield key
        waiting += reversed(below(key))


def _dots(
    attempts: Sequence[Attempt],
    starts: Mapping[int, int],
    after: int,
    y: int,
    confirmed: set[str],
) -> Iterator[Dot]:
    placed: Counter[int] = Counter()
    for attempt in attempts:
        below, beside = divmod(placed[attempt.cycle], ABREAST)
        placed[attempt.cycle] += 1
        yield Dot(
            attempt_id=attempt.attempt_id,
            x=max(after, starts[attempt.cycle]) + STEP * beside,
            y=y + STEP * below,
            kind=gain_kind(attempt),
            confirmed=attempt.attempt_id in confirmed,
            title=_title(attempt, attempt.attempt_id in confirmed),
        )


def gain_kind(attempt: Attempt) -> str:
    """Return which of `KINDS` an attempt is."""
    if not is_valid(attempt) or attempt.gain is None:
        return "gx"
    if attempt.gain > 0:
        return "g3" if attempt.gain >= 0.02 else "g2"
    return "g1" if attempt.gain >= -0.05 else "g0"


def _title(attempt: Attempt, confirmed: bool) -> str:
    told = points(attempt.gain) if is_valid(attempt) else str(attempt.verdict)
    sure = ", confirmed" if confirmed else ""
    return f"{attempt.attempt_id} from {attempt.parent_id}: {told}{sure}"
