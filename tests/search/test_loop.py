"""The loop, with a scripted proposer and an executor in this process: milliseconds a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from deltanas.config.choices import Corpus, NoveltyGate
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config
from deltanas.propose.proposer import Proposer
from deltanas.record.store import RunStore
from deltanas.records import Attempt, Baseline, Job, Request, Verdict
from deltanas.search.candidates import Thresholds
from deltanas.search.lessons import Lessons
from deltanas.search.loop import Search
from deltanas.search.newness import check_novelty, novelty_definition
from deltanas.search.opening import assembled
from deltanas.search.slots import SearchError
from tests.fakes import (
    InlineExecutor,
    ListJournal,
    ListTuner,
    NoBars,
    ScriptedProposer,
    baseline,
    delta,
    network,
)
from tests.test_conf import composed, options
from tests.tune.pairs import make_pair

POOL = [baseline("one", 30), baseline("two", 40), baseline("three", 50)]


def configured(**protocol: Any) -> Config:
    config = Config(ablation="none")
    config.protocol.cycles, config.protocol.candidates = 2, 4
    config.novelty.threshold = 1.0
    for key, value in protocol.items():
        setattr(config.protocol, key, value)
    return config


def by_seed(request: Request) -> str:
    """Give every request its own width, between 10 and 109, so that some networks diverge."""
    return delta(request.slot.baseline.code, 10 + request.seed % 100)


def searching(
    config: Config,
    *,
    answer: Callable[[Request], str] = by_seed,
    proposer: Proposer | None = None,
    journal: ListJournal | None = None,
    executor: InlineExecutor | None = None,
    tuner: ListTuner | None = None,
    pool: Sequence[Baseline] = POOL,
    sets: Sequence[str] = ("digits",),
    gate: float = 0.2,
    directory: Path = Path(),
) -> Search:
    lessons = Lessons(config=config, directory=directory, tuner=tuner)
    return assembled(
        config=config,
        thresholds={name: Thresholds(majority_rate=0.15, gate=gate) for name in sets},
        pools={name: list(pool) for name in sets},
        proposer=proposer or ScriptedProposer(answer),
        lessons=lessons,
        executor=executor or InlineExecutor(),
        journal=journal or ListJournal(),
        progress=NoBars(),
    )


def walked(search: Search) -> list[Attempt]:
    for _ in search.cycles():
        pass
    return sorted(search.journal.rows(), key=lambda row: row.attempt_id)


def test_every_slot_has_its_row_and_its_own_seed() -> None:
    search = searching(configured())
    rows = walked(search)
    assert [row.attempt_id for row in rows] == [
        f"c{cycle:02d}-s{slot:03d}" for cycle in range(2) for slot in range(4)
    ]
    assert len({row.seed for row in rows}) == 8
    parents = {one.baseline_id: one for one in POOL}
    for row in rows:
        if row.verdict is Verdict.TRAINED:
            accuracy = (10 + row.seed % 100) / 100
            before = search.memory.proxy("digits", row.parent_id)
            assert row.proxy_accuracy == accuracy
            assert row.gain == pytest.approx(accuracy - before)
        assert row.parent_id in parents or row.parent_id in {r.attempt_id for r in rows}


@pytest.mark.parametrize(
    "order", [list, lambda jobs: jobs[::-1], lambda jobs: jobs[1:] + jobs[:1]]
)
def test_rows_are_stored_by_slot_in_whatever_order_jobs_finish(
    order: Callable[[list[Job]], list[Job]],
) -> None:
    journal = ListJournal()
    walked(searching(configured(), journal=journal, executor=InlineExecutor(order)))
    names = [row.attempt_id for row in journal.rows()]
    assert names == sorted(names)
    expected = ListJournal()
    walked(searching(configured(), journal=expected))
    assert [e for e in journal.told if isinstance(e, tuple)] == [
        e for e in expected.told if isinstance(e, tuple)
    ]


def test_a_row_is_stored_before_the_next_job_is_waited_for() -> None:
    journal = ListJournal()
    seen: list[int] = []

    class Watching(InlineExecutor):
        def evaluate(self, job: Job) -> Any:
            seen.append(len(journal.rows()))
            return super().evaluate(job)

    config = configured(cycles=1)
    widths = iter(range(20, 24))
    answers = lambda request: delta(request.slot.baseline.code, next(widths))  # noqa: E731
    walked(searching(config, journal=journal, executor=Watching(), answer=answers))
    assert seen[-4:] == [0, 1, 2, 3]


def test_equal_networks_are_trained_once() -> None:
    executor = InlineExecutor()
    search = searching(
        configured(grow_pool=False),
        executor=executor,
        answer=lambda request: delta(request.slot.baseline.code, 60),
    )
    rows = walked(search)
    candidates = [job for job in executor.jobs if job.job_id.startswith("c0")]
    assert [job.job_id for job in candidates] == ["c00-s000"]
    assert [row.reused_from for row in rows] == [None, *["c00-s000"] * 7]
    assert {row.proxy_accuracy for row in rows} == {0.6}
    assert [row.admitted for row in rows] == [True, *[False] * 7]


def test_what_equals_a_baseline_takes_its_score() -> None:
    config = configured(cycles=1, candidates=3)
    rows = walked(searching(config, answer=lambda r: delta(r.slot.baseline.code, 40)))
    ends = {row.parent_id: (row.verdict, row.reused_from) for row in rows}
    assert ends["two"] == (Verdict.NO_OP, None)
    assert ends["one"] == ends["three"] == (Verdict.TRAINED, "two")


@pytest.mark.parametrize(
    ("width", "threshold", "verdict", "degenerate", "admitted"),
    [
        (60, 1.0, Verdict.TRAINED, False, True),
        (60, 0.0, Verdict.TRAINED, False, False),  # nothing is novel
        (18, 1.0, Verdict.TRAINED, False, False),  # below the gate
        (12, 1.0, Verdict.TRAINED, True, False),  # below the majority class
        (200, 1.0, Verdict.DIVERGED, False, False),
    ],
)
def test_admission(
    width: int, threshold: float, verdict: Verdict, degenerate: bool, admitted: bool
) -> None:
    config = configured(cycles=1, candidates=1)
    config.novelty.threshold = threshold
    search = searching(config, answer=lambda r: delta(r.slot.baseline.code, width))
    (row,) = walked(search)
    assert (row.verdict, row.degenerate, row.admitted) == (verdict, degenerate, admitted)
    names = [one.baseline_id for one in search.memory.pools["digits"]]
    assert ("c00-s000" in names) is admitted


@pytest.mark.parametrize("grow", [True, False])
def test_the_pool_grows_where_it_may(grow: bool) -> None:
    search = searching(configured(cycles=6, grow_pool=grow))
    rows = walked(search)
    edited = {row.parent_id for row in rows}
    assert bool(edited & {row.attempt_id for row in rows}) is grow
    joined = [joins for _, joins in (e for e in search.journal.told if isinstance(e, tuple))]
    assert [joins is not None for joins in joined] == [row.admitted and grow for row in rows]


def test_novelty_may_gate_training() -> None:
    config = configured(cycles=1)
    config.novelty.gate, config.novelty.threshold = NoveltyGate.training, 0.0
    executor = InlineExecutor()
    rows = walked(searching(config, executor=executor))
    assert {row.verdict for row in rows} == {Verdict.NOT_NOVEL}
    assert all(row.reason.startswith("similarity ") and row.novelty > 0.9 for row in rows)
    assert [job for job in executor.jobs if job.job_id.startswith("c0")] == []


def test_a_baseline_that_fails_leaves_the_pool_and_is_remembered() -> None:
    journal = ListJournal()
    pool = [*POOL, baseline("broken", 300)]
    search = searching(configured(), journal=journal, pool=pool)
    rows = walked(search)
    assert "broken" not in {row.parent_id for row in rows}
    assert "broken" not in {one.baseline_id for one in search.memory.pools["digits"]}
    used = journal.baseline("digits", "broken")
    assert (used.verdict, used.reason) == (Verdict.DIVERGED, "NaN")
    with pytest.raises(SearchError, match="no baseline of the archive trains on digits"):
        walked(searching(configured(), pool=pool[-1:]))


def test_data_sets_take_turns_with_pools_of_their_own() -> None:
    rows = walked(searching(configured(candidates=3), sets=("digits", "mnist")))
    assert [row.dataset for row in rows] == ["digits", "mnist"] * 3


@pytest.mark.parametrize("sets", [("digits",), ("digits", "mnist")])
def test_a_run_goes_on_from_any_prefix_of_what_was_stored(
    sets: Sequence[str], tmp_path: Path
) -> None:
    def run(told: list[Any], folder: Path) -> tuple[ListJournal, InlineExecutor, ListTuner]:
        journal, executor, tuner = ListJournal(list(told)), InlineExecutor(), ListTuner()
        config = configured(cycles=3)
        config.lora.minimum_gain = -1.0
        search = searching(
            config, journal=journal, executor=executor, tuner=tuner, sets=sets, directory=folder
        )
        walked(search)
        return journal, executor, tuner

    whole, first, teacher = run([], tmp_path)
    assert len(whole.rows()) == 12
    assert teacher.learned > 0
    trained = {job.job_id + job.dataset for job in first.jobs}
    for length in range(len(whole.told) + 1):
        again, executor, tuner = run(whole.told[:length], tmp_path)
        assert again.told == whole.told, length
        assert tuner.learned == teacher.learned
        known = {row.attempt_id for row in ListJournal(whole.told[:length]).rows()}
        jobs = {job.job_id + job.dataset for job in executor.jobs}
        assert jobs <= trained
        assert not known & {job.job_id for job in executor.jobs}


def test_a_run_that_breaks_keeps_its_rows_and_goes_on(tmp_path: Path) -> None:
    class Breaking(InlineExecutor):
        left = 6

        def evaluate(self, job: Job) -> Any:
            self.left -= 1
            if self.left < 0:
                raise RuntimeError("the machine is gone")
            return super().evaluate(job)

    journal = ListJournal()
    with pytest.raises(RuntimeError, match="the machine is gone"):
        walked(searching(configured(), journal=journal, executor=Breaking()))
    assert journal.rows()
    whole = ListJournal()
    walked(searching(configured(), journal=whole))
    walked(searching(configured(), journal=journal))
    assert journal.told == whole.told


def test_an_archive_that_changed_is_noticed() -> None:
    whole = ListJournal()
    walked(searching(configured(), journal=whole))
    other = [baseline("four", 30), baseline("five", 40), baseline("six", 50)]
    with pytest.raises(SearchError, match="the archive is not what it was"):
        walked(searching(configured(), journal=ListJournal(whole.told), pool=other))


def test_a_replay_is_the_same_search_with_known_replies_and_no_proposer() -> None:
    whole = searching(configured())
    rows = walked(whole)
    replies = {row.attempt_id: whole.journal.reply(row.attempt_id) for row in rows}

    def silent(request: Request) -> str:
        raise AssertionError("a replay asks nobody")

    journal = ListJournal(replies=replies)
    assert walked(searching(configured(), journal=journal, answer=silent)) == rows


def test_the_whole_network_is_taken_where_that_is_asked_for() -> None:
    from deltanas.config.choices import Generation

    config = configured(cycles=1, candidates=2)
    config.generation = Generation.full
    widths = iter((60, 70))
    rows = walked(
        searching(config, answer=lambda request: f"```python\n{network(next(widths))}```\n")
    )
    assert [row.proxy_accuracy for row in rows] == [0.6, 0.7]
    assert [row.delta for row in rows] == ["", ""]


def test_a_run_whose_novelty_meant_another_thing_does_not_go_on(tmp_path: Path) -> None:
    with RunStore(tmp_path / "run.sqlite") as store:
        check_novelty(store, configured(), tmp_path)
        store.set_meta("novelty", novelty_definition(configured()))
        check_novelty(store, configured(), tmp_path)
        store.set_meta("novelty", store.meta("novelty") | {"scheme": "legacy"})
        with pytest.raises(ConfigError, match=r"'scheme': 'legacy'.* measures it as .*'affine32'"):
            check_novelty(store, configured(), tmp_path)


def rounds(request: Request) -> str:
    """Answer as the ablation's proposer would: with a delta, or with a whole network."""
    width = 55 + request.seed % 40
    if request.slot.number % 2:
        return delta(request.slot.baseline.code, width)
    return f"```python\n{network(width)}```\n"


NO_LLM = ("random_edit", "evolution")


@pytest.mark.parametrize("ablation", options("ablation"))
def test_every_ablation_walks_the_loop(ablation: str, tmp_path: Path) -> None:
    config = composed(
        f"ablation={ablation}", *["archive=lemur"] * (ablation == "cumulative_corpus")
    )
    config.protocol.cycles, config.protocol.candidates = 2, 6
    tuner = ListTuner() if config.lora.enabled and ablation not in NO_LLM else None
    rows = walked(searching(config, answer=rounds, tuner=tuner, directory=tmp_path))
    assert len(rows) == 12
    whole = ablation == "full_generation"  # takes whole networks, which even slots answer with
    for row in rows:
        taken = (row.slot % 2 == 0) is whole
        assert (row.verdict in (Verdict.TRAINED, Verdict.NO_OP)) is taken
        assert (row.verdict is Verdict.NO_DELTA) is not taken
    assert any(row.verdict is Verdict.TRAINED for row in rows)
    growing = ("no_novelty", "tree_novelty", "graph_novelty", "evolution")
    assert any(row.admitted for row in rows) is (ablation in growing)
    if tuner is not None:
        assert tuner.learned == 2


@pytest.mark.parametrize(
    ("corpus", "taught"),
    [(Corpus.own, {"own"}), (Corpus.static, {"static"}), (Corpus.cumulative, {"own", "static"})],
)
def test_the_corpus_decides_what_is_taught(
    corpus: Corpus, taught: set[str], tmp_path: Path
) -> None:
    config = configured(cycles=1, candidates=6)
    config.lora.corpus, config.lora.minimum_gain, tuner = corpus, -1.0, ListTuner()
    search = searching(config, tuner=tuner, directory=tmp_path)
    if corpus is not Corpus.own:  # as a run is opened
        search.lessons.pairs += [make_pair(number) for number in range(3)]
    walked(search)
    (lessons,) = tuner.lessons
    kinds = {"static" if lesson.name.startswith("p") else "own" for lesson in lessons}
    assert kinds == taught
