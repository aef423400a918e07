"""What a child may hold and take, by counts as the kernel gives them."""

from __future__ import annotations

import pytest

from deltanas.evaluate.supervise import MAX_AHEAD_S, MAX_THREADS, Bounds, Usage


def usage(cpu_seconds: float = 0.0, threads: int = 1, resident: int = 0, tables: int = 0) -> Usage:
    return Usage(b"S", cpu_seconds, threads, resident, tables)


def bounds(threads: int = 2) -> Bounds:
    return Bounds(held=1000, threads=threads, began=0.0)


@pytest.mark.parametrize(
    ("given", "ending"),
    [
        (usage(resident=1000), None),
        (usage(resident=1001), "swollen"),
        (usage(resident=900, tables=101), "swollen"),
        (usage(threads=MAX_THREADS + 8), None),
        (usage(threads=MAX_THREADS + 9), "crowded"),
    ],
)
def test_too_much_is_seen(given: Usage, ending: str | None) -> None:
    assert bounds().excess(given, 1.0) == ending


@pytest.mark.parametrize(("cores", "ending"), [(2, None), (2.1, "crowded"), (3, "crowded")])
def test_more_cores_than_threads_are_seen_in_time(cores: float, ending: str | None) -> None:
    watched = bounds(threads=2)
    endings = [watched.excess(usage(cpu_seconds=cores * now), now) for now in range(1, 20)]
    assert endings[-1] == ending


def test_what_was_not_used_before_cannot_be_taken_later() -> None:
    watched = bounds(threads=1)
    assert watched.excess(usage(cpu_seconds=0.0), 100.0) is None
    assert watched.excess(usage(cpu_seconds=0.5 + MAX_AHEAD_S), 100.5) is None
    assert watched.excess(usage(cpu_seconds=1.2 + MAX_AHEAD_S), 101.0) == "crowded"


def test_the_most_that_was_held_is_kept() -> None:
    watched = bounds()
    for held in (10, 700, 20):
        watched.excess(usage(resident=held), 1.0)
    assert watched.peak_resident == 700
