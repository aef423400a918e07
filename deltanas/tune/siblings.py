"""Which prompts with several answers the LLM learns from: pure, and without torch."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from deltanas.tune.rewards import Outcome
from deltanas.tune.tuner import Answer, Lesson

T = TypeVar("T")


def lessons_of(
    outcomes: Sequence[Outcome],
    rewards: Mapping[str, float],
    *,
    limit: int,
    per_lesson: int,
    spread: float,
    rng: random.Random,
) -> list[Lesson]:
    """Return one lesson a prompt, with at most `per_lesson` answers each and `limit` in all.

    An answer that was given twice is there once. Where a prompt has too many, its best and its
    worst stay. A prompt whose rewards differ by less than `spread` says nothing and is left out.
    The data sets take turns, and within a data set its families; `rng` orders them. The first
    lesson that goes over the limit ends it.
    """
    prompts: dict[tuple[str, str, str], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        prompts[one.dataset, one.family, one.prompt].append(one)
    families: dict[str, dict[str, list[Lesson]]] = defaultdict(lambda: defaultdict(list))
    for (dataset, family, _), own in prompts.items():
        lesson = _lesson(own, rewards, per_lesson)
        values = [answer.reward for answer in lesson.answers]
        if max(values) - min(values) >= spread:
            families[dataset][family].append(lesson)
    sets = [list(in_turns(_shuffled(own.values(), rng))) for _, own in sorted(families.items())]
    chosen: list[Lesson] = []
    room = limit
    for lesson in in_turns(_shuffled(sets, rng)):
        room -= len(lesson.answers)
        if room < 0:
            break
        chosen.append(lesson)
    return chosen


def in_turns(queues: Sequence[Sequence[T]]) -> Iterator[T]:
    """Yield the first of every queue, then the second of those that have one, and so on."""
    for turn in range(max(map(len, queues), default=0)):
        yield from (queue[turn] for queue in queues if turn < len(queue))


def _lesson(own: Sequence[Outcome], rewards: Mapping[str, float], most: int) -> Lesson:
    latest = {one.answer: one for one in own}  # of equal answers the latest
    ranked = sorted(
        latest.values(), key=lambda one: (rewards[one.attempt_id], one.cycle), reverse=True
    )
    if len(ranked) > most:
        ranked = ranked[: most - most // 2] + ranked[len(ranked) - most // 2 :]
    first = own[0]
    return Lesson(
        name=f"{first.dataset}/{first.baseline_id}",
        prompt=first.prompt,
        answers=tuple(
            Answer(text=one.answer, reward=rewards[one.attempt_id], finished=one.finished)
            for one in ranked
        ),
    )


def _shuffled(queues: Iterable[T], rng: random.Random) -> list[T]:
    ordered = list(queues)
    rng.shuffle(ordered)
    return ordered
