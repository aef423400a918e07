"""Failed replies are asked for again: rows of their own, the same however a run came to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deltanas.config.schema import Config
from deltanas.records import Attempt, Evaluation, Job, Request, Run, Verdict, derive_seed
from deltanas.report.headline import headline
from deltanas.report.metrics import run_summary, summarise_cycle
from deltanas.search.asking import MENDED
from tests.fakes import InlineExecutor, ListJournal, ListTuner, delta, width_of
from tests.search.test_loop import configured, searching, walked

MakeAttempt = Callable[..., Attempt]


class Shaped(InlineExecutor):
    """Finds the wrong shape in networks of a width from 150 on."""

    def evaluate(self, job: Job) -> Evaluation:
        if width_of(job.code) >= 150:
            return Evaluation(job_id=job.job_id, verdict=Verdict.SHAPE, reason="10 of 9 classes")
        return super().evaluate(job)


def mending(turns: int, **protocol: Any) -> Config:
    config = configured(**protocol)
    config.repair.turns = turns
    return config


def by_slot(request: Request) -> str:
    """Answer slot 0 well, slot 1 in the second turn, slot 2 in the third, and slot 3 never."""
    code, (turn, slot) = request.slot.baseline.code, divmod(request.slot.number, 4)
    if slot == 3:
        return delta(code, 120 + request.seed % 20)  # it diverges: nothing to mend
    if turn < slot:
        return "no delta" if slot == 1 else delta(code, 150 + turn)
    return delta(code, 50 + request.seed % 45)


def mended(turns: int, **parts: Any) -> list[Attempt]:
    parts = {"executor": Shaped(), "answer": by_slot} | parts
    return walked(searching(mending(turns), **parts))


def test_what_failed_is_asked_for_again_in_slots_of_its_own() -> None:
    search = searching(mending(2, cycles=1), answer=by_slot, executor=Shaped())
    rows = {row.slot: row for row in walked(search)}
    assert {slot: row.repairs for slot, row in rows.items()} == {
        **dict.fromkeys(range(4)),
        5: "c00-s001",
        6: "c00-s002",
        10: "c00-s006",
    }
    ends = [Verdict.TRAINED, Verdict.NO_DELTA, Verdict.SHAPE, Verdict.DIVERGED]
    assert [rows[slot].verdict for slot in range(4)] == ends
    assert rows[6].verdict is Verdict.SHAPE
    assert rows[5].verdict is rows[10].verdict is Verdict.TRAINED
    assert [row.seed for row in rows.values()] == [derive_seed(42, 0, slot) for slot in rows]
    for slot, first in ((5, 1), (6, 2), (10, 6)):
        assert rows[slot].parent_id == rows[first].parent_id
    asked = {request.slot.number: request for request in search.asking.proposer.asked}
    assert asked[10].failed == (replace(rows[6], delta=rows[6].reply),)  # as it was written
    assert rows[6].delta.startswith("--- a/baseline.py\n+++ b/baseline.py\n@@ -")
    assert asked[0].failed == ()
    assert [row.attempt_id for row in asked[10].known] == [
        f"c00-s{slot:03d}" for slot in (0, 1, 2, 3, 5, 6)
    ]


def test_without_turns_nothing_is_asked_again() -> None:
    rows = mended(0)
    assert len(rows) == 8
    assert [row for row in mended(2) if not row.repairs and row.cycle == 0] == rows[:4]


def test_what_the_proposer_cannot_take_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    search = searching(mending(1, cycles=1), answer=by_slot, executor=Shaped())
    slots = lambda request: request.failed[0].verdict is Verdict.SHAPE  # noqa: E731
    monkeypatch.setattr(search.asking.proposer, "mends", slots)
    assert [row.slot for row in walked(search)] == [0, 1, 2, 3, 6]


def test_only_what_failed_before_training_by_its_own_fault_is_mended() -> None:
    left = {Verdict.NOT_NOVEL, Verdict.TOO_LARGE, Verdict.DIVERGED, Verdict.OUT_OF_MEMORY}
    left |= {Verdict.TIMED_OUT, Verdict.KILLED, Verdict.TRAINED, Verdict.INFRASTRUCTURE}
    assert set(Verdict) - MENDED == left


def test_a_run_with_repairs_goes_on_from_any_prefix(tmp_path: Path) -> None:
    def run(told: list[Any]) -> tuple[ListJournal, ListTuner]:
        journal, tuner = ListJournal(list(told)), ListTuner()
        sets = ("digits", "mnist")
        mended(2, journal=journal, tuner=tuner, sets=sets, directory=tmp_path)
        return journal, tuner

    whole, teacher = run([])
    assert sum(row.repairs is not None for row in whole.rows()) == 6
    for length in range(len(whole.told) + 1):
        again, tuner = run(whole.told[:length])
        assert again.told == whole.told, length
        assert tuner.learned == teacher.learned


def test_a_replay_asks_for_the_same_repairs_without_a_proposer() -> None:
    whole = searching(mending(2), answer=by_slot, executor=Shaped())
    rows = walked(whole)
    replies = {row.attempt_id: whole.journal.reply(row.attempt_id) for row in rows}
    again = searching(mending(2), executor=Shaped(), journal=ListJournal(replies=replies))
    again.asking.proposer.mends = lambda request: False
    again.asking.proposer.propose = None
    assert walked(again) == rows


def test_a_mended_delta_is_taught_as_an_answer_to_the_first_question(tmp_path: Path) -> None:
    tuner, config = ListTuner(), mending(2)
    config.lora.minimum_gain, config.llm.prompt = -1.0, "first $code"
    search = searching(config, answer=by_slot, executor=Shaped(), tuner=tuner, directory=tmp_path)
    walked(search)
    prompts = {lesson.name: lesson.prompt for lesson in tuner.lessons[-1]}
    assert prompts["c00-s000"] == "ask"  # as it was asked
    assert prompts["c00-s005"].startswith("first import torch")


def summary_of(rows: Sequence[Attempt], *, mends: bool = True) -> Any:
    return run_summary(
        Run(attempts=tuple(rows)),
        **dict.fromkeys(("run_id", "llm", "dataset", "archive", "protocol"), "x"),
        ablation=None,
        seed=1,
        wall_seconds=None,
        seconds={},
        mends=mends,
    )


def test_a_repair_counts_in_valid_at_repair_and_in_no_other_rate() -> None:
    rows = [row for row in mended(2) if row.cycle == 0]
    summary, cycle = summary_of(rows), summarise_cycle(0, rows)
    assert (summary.attempted, summary.repairs, summary.first_attempts) == (7, 3, 4)
    assert (summary.valid, summary.valid_rate, summary.valid_at_repair) == (1, 0.25, 0.75)
    assert summary.valid_rate_excl_infra == 0.25
    assert (cycle.attempted, cycle.valid, cycle.useful) == (4, 1, 1)
    assert cycle.admitted == sum(row.admitted for row in rows) == 3
    assert summary.useful_rate == 0.25
    assert summary.verdicts["trained"] == 3
    best = max(row.first_epoch_accuracy or 0.0 for row in rows)
    note = next(each.note for each in headline(summary) if each.title == "Valid rate")
    assert note.startswith("1 of 4 first attempts; 95 % interval")
    assert note.endswith("; 75.0\N{NO-BREAK SPACE}% after 3 repairs")
    assert summary.best_first_epoch_accuracy == cycle.best_first_epoch_accuracy == best


def test_a_run_that_never_mends_measures_no_valid_at_repair(make_attempt: MakeAttempt) -> None:
    rows = [make_attempt(0, 0), make_attempt(0, 1, verdict=Verdict.SHAPE)]
    plain = summary_of(rows, mends=False)
    assert (plain.repairs, plain.valid_at_repair, plain.first_attempts) == (None, None, 2)
    assert summary_of(rows).valid_at_repair == 0.5  # it may, and nothing was mended
    broken = replace(rows[1], verdict=Verdict.INFRASTRUCTURE)
    assert summary_of([rows[0], broken]).valid_rate_excl_infra == 1.0
