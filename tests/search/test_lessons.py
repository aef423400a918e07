"""What a search teaches: failures too, siblings of a cycle, a share of real pairs, and a guard."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deltanas.config.choices import Corpus, Objective
from deltanas.config.schema import Config
from deltanas.records import Request, Slot, Verdict
from deltanas.search.guarding import REPLIES, Watch, fell
from deltanas.search.outcomes import own_outcome
from tests.fakes import ListTuner, ScriptedProposer, baseline, delta, width_of
from tests.search.test_loop import POOL, configured, searching, walked
from tests.tune.pairs import make_pair


def comparing(objective: Objective, **protocol: Any) -> Config:
    config = configured(**({"cycles": 1, "candidates": 8} | protocol))
    config.tune.objective, config.tune.siblings = objective, 4
    config.lora.minimum_gain = -1.0
    return config


def in_fours(request: Request) -> str:
    """Answer one of four siblings each: a better, a worse and a broken network, and no delta."""
    code = request.slot.baseline.code
    width = width_of(code)
    answers = (delta(code, width + 45), delta(code, width - 8), delta(code, 100), "I cannot")
    return answers[request.slot.number % 4]


def taught(config: Config, directory: Path, **parts: Any) -> ListTuner:
    tuner = ListTuner()
    walked(searching(config, answer=in_fours, tuner=tuner, directory=directory, **parts))
    return tuner


@pytest.mark.parametrize("objective", [Objective.dpo, Objective.grpo, Objective.kto])
def test_siblings_of_every_kind_are_one_lesson(objective: Objective, tmp_path: Path) -> None:
    (lesson,) = taught(comparing(objective), tmp_path).taught
    good, bad, *failed = lesson.answers
    assert 0.5 < good.reward < 1
    assert 0 < bad.reward < 0.5
    assert sorted(answer.reward for answer in failed) == [0, 0]
    assert sorted(answer.text for answer in failed)[1] == "I cannot"


def test_imitation_still_takes_the_good_pairs_alone(tmp_path: Path) -> None:
    config = comparing(Objective.sft)
    config.lora.minimum_gain = 0.0
    tuner = taught(config, tmp_path)
    assert [len(lesson.answers) for lesson in tuner.taught] == [1]
    assert tuner.guards == [None]


def test_a_group_holds_answers_of_one_cycle_and_the_others_those_of_all(tmp_path: Path) -> None:
    pool = POOL[:2]
    for objective, times in ((Objective.grpo, 1), (Objective.kto, 2)):
        answered = Counter[str]()

        def varied(request: Request, answered: Counter[str] = answered) -> str:
            answered[request.slot.baseline.baseline_id] += 1
            code = request.slot.baseline.code
            return delta(code, 55 + answered[request.slot.baseline.baseline_id])

        tuner = ListTuner()
        config = comparing(objective, cycles=2)
        config.tune.margin = 0.0
        config.protocol.grow_pool = False
        search = searching(config, answer=varied, tuner=tuner, directory=tmp_path, pool=pool)
        walked(search)
        (lesson,) = tuner.taught
        assert len(lesson.answers) == 4 * times


def test_the_noise_of_a_parent_lowers_what_its_child_is_worth(tmp_path: Path) -> None:
    best = []
    for names in ([], ["one", "two", "three"]):
        search = searching(
            comparing(Objective.dpo), answer=in_fours, tuner=ListTuner(), directory=tmp_path
        )
        for name in names:
            search.memory.add_fresh("digits", name, {0: 0.1, 1: 0.5, 2: 0.9})
        walked(search)
        best.append(search.lessons.tuner.taught[0].answers[0].reward)
    assert 0.5 < best[1] < best[0]


@pytest.mark.parametrize("objective", [Objective.sft, Objective.dpo])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_real_pairs_keep_their_share(objective: Objective, share: float, tmp_path: Path) -> None:
    config = comparing(objective, candidates=12)
    config.lora.corpus, config.tune.real_share = Corpus.cumulative, share
    config.lora.curation = config.lora.curation.random
    search = searching(config, answer=in_fours, tuner=ListTuner(), directory=tmp_path)
    search.lessons.pairs += [make_pair(number, real=True) for number in range(40)]
    walked(search)
    found = search.lessons.tuner.taught
    real = sum(len(one.answers) for one in found if one.real)
    own = sum(len(one.answers) for one in found if not one.real)
    assert own > 0
    assert real == round(own * share / (1 - share))


def test_a_guard_counts_distinct_networks_on_baselines_held_out(tmp_path: Path) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> str:
        asked.append(request)
        return in_fours(request)

    config = comparing(Objective.dpo)
    config.tune.guard = True
    tuner = ListTuner()
    search = searching(config, answer=answer, tuner=tuner, directory=tmp_path)
    walked(search)
    (guard,) = tuner.guards
    asked.clear()
    counted = guard.count()
    assert {one.slot.baseline.baseline_id for one in asked}.isdisjoint(
        lesson.name.partition("/")[2] for lesson in tuner.taught
    )
    assert len(asked) == REPLIES
    assert counted == 3  # of a repeated four, one is no delta; whether they train is not asked
    first = [one.seed for one in asked]
    asked.clear()
    guard.count()
    assert [one.seed for one in asked] == first
    assert len(set(first)) == REPLIES


def test_a_guard_without_a_held_out_baseline_of_the_run_counts_nothing() -> None:
    search = searching(configured())
    watch = Watch(config=configured(), proposer=ScriptedProposer(in_fours), memory=search.memory)
    guard = watch.over(0, {"of LEMUR"})
    assert (guard.count(), guard.worse(0, 0)) == (0, False)


def test_a_count_fell_when_chance_does_not_explain_it() -> None:
    assert not fell(16, 16, 16)
    assert not fell(16, 15, 16)
    assert fell(16, 13, 16)
    assert not fell(3, 12, 16)
    worst = [
        max(n for n in range(17) if n <= before and fell(before, n, 16)) for before in (8, 14)
    ]
    assert worst == [5, 11]


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"verdict": Verdict.INFRASTRUCTURE}, None),
        ({"reply": " \n"}, None),
        ({"verdict": Verdict.TRUNCATED, "reply": "@@ cut"}, "@@ cut"),
        ({"reply": "--- baseline.py\n+++ improved.py\n@@ -1,2 +1,2 @@\n-a\n+b\n"}, "@@\n-a\n+b\n"),
        ({"verdict": Verdict.SYNTAX, "code": "def", "reply": "say"}, "say"),
    ],
)
def test_what_the_llm_wrote_is_what_it_is_taught(
    changes: dict[str, Any], answer: str | None
) -> None:
    (row, *_) = walked(searching(configured(cycles=1), answer=lambda _: "no"))
    slot = Slot(cycle=0, number=0, dataset="digits", baseline=baseline("one", 30))
    found = own_outcome(configured(), slot, replace(row, **changes))
    assert (found.answer if found else None) == answer


def test_a_network_that_learned_nothing_failed() -> None:
    (row, *_) = walked(searching(configured(cycles=1, candidates=1)))
    slot = Slot(cycle=0, number=0, dataset="digits", baseline=baseline(row.parent_id, 30))
    assert own_outcome(configured(), slot, row).gain == row.gain
    assert own_outcome(configured(), slot, replace(row, gain=None)) is None  # it is not believed
    failed = own_outcome(configured(), slot, replace(row, degenerate=True))
    assert (failed.gain, failed.network) == (None, "")


@pytest.mark.parametrize(
    ("siblings", "candidates", "groups"), [(1, 4, [1] * 4), (4, 8, [4, 4]), (3, 8, [3, 3, 2])]
)
def test_siblings_share_their_parent(siblings: int, candidates: int, groups: list[int]) -> None:
    config = configured(cycles=1, candidates=candidates)
    config.tune.siblings = siblings
    search = searching(config, pool=[baseline(f"b{n}", 30 + n) for n in range(9)])
    names = [slot.baseline.baseline_id for slot in search.slots.choose(0)]
    assert list(Counter(names).values()) == groups
    assert names == sorted(names, key=names.index)
    assert len({row.seed for row in walked(search)}) == candidates


def test_siblings_are_of_one_data_set() -> None:
    config = configured(cycles=1, candidates=8)
    config.tune.siblings = 2
    slots = searching(config, sets=("digits", "mnist")).slots.choose(0)
    for name in ("digits", "mnist"):
        own = [slot.baseline.baseline_id for slot in slots if slot.dataset == name]
        assert own[0] == own[1] != own[2] == own[3]


@pytest.mark.parametrize("changes", [{"prompt": ""}, {"repairs": "c00-s001"}])
def test_what_the_llm_was_not_asked_for_so_is_no_sibling_in_a_group(
    changes: dict[str, str], tmp_path: Path
) -> None:
    search = searching(
        comparing(Objective.grpo), answer=in_fours, tuner=ListTuner(), directory=tmp_path
    )
    rows = walked(search)
    slots = search.slots.choose(0)
    search.lessons.config.llm.prompt = "delta $code"
    search.lessons.outcomes.clear()
    search.lessons.pairs.clear()
    search.lessons.collect(slots, [replace(row, **changes) for row in rows])
    assert {one.prompt for one in search.lessons.outcomes} == {
        f"delta {slot.baseline.code}" for slot in slots
    }
    search.lessons.tuner.lessons.clear()
    assert search.lessons.tune(0) is None
