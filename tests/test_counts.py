"""What a search may cost, in counts that no noise of the machine moves.

One small search runs in this process. Each count is taken from outside the code that it is about.
"""

from __future__ import annotations

import io
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from rich.console import Console

from deltanas.config.compose import from_hydra, register
from deltanas.evaluate.images import digits
from deltanas.llm.decoding import Decoder, Work
from deltanas.llm.sampling import SeededSampling
from deltanas.records import Attempt, Origin
from deltanas.search.opening import opened

CONF = Path(__file__).parents[1] / "conf"
CYCLES, CANDIDATES, BATCH = 2, 3, 2
WORDS = (
    f"protocol.cycles={CYCLES}",
    f"protocol.candidates={CANDIDATES}",
    f"llm.batch={BATCH}",
    "lora.enabled=false",
    "executor.workers=1",
    "tracker=none",
    "seed=5",
)
TRIAL_FORKS = 3  # of a zygote that warms up: the jail's self-test, a check, an epoch

# The zygote's interpreter runs this before all else: every fork leaves its process in a file.
FORK_COUNTER = """
import os, sys
if "deltanas.evaluate.zygote" in sys.orig_argv:
    log = os.open({path!r}, os.O_WRONLY | os.O_APPEND)
    def note(what):
        try:
            os.write(log, b"%d %s\\n" % (os.getpid(), what))
        except OSError:  # the self-test tries to fork in the jail, which has closed the file
            pass
    note(b"start")
    os.register_at_fork(before=lambda: note(b"fork"))
"""


@dataclass
class Seen:
    """What was counted in one search."""

    attempts: list[Attempt] = field(default_factory=list)
    baselines: Counter[Origin] = field(default_factory=Counter)  # by where they came from
    work: Work = field(default_factory=Work)
    forwards: int = 0  # calls of the LLM
    batches: list[list[Any]] = field(default_factory=list)  # the prompts of each
    draws: list[Counter[int]] = field(default_factory=list)  # of each, tokens drawn by reply
    decoded: int = 0  # image sets
    statements: list[str] = field(default_factory=list)  # of SQL, from the first cycle on
    starts: int = 0  # of zygotes
    forks: Counter[str] = field(default_factory=Counter)  # by "zygote" and "worker"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("counts")
    forks = folder / "forks"
    forks.touch()
    (folder / "sitecustomize.py").write_text(FORK_COUNTER.format(path=str(forks)))
    with pytest.MonkeyPatch.context() as patches:
        patches.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        found = counted_search(folder / "run", patches)
    lines = [line.split() for line in forks.read_text().splitlines()]
    zygotes = {process for process, what in lines if what == "start"}
    found.starts = len(zygotes)
    found.forks.update(
        "zygote" if process in zygotes else "worker" for process, what in lines if what == "fork"
    )
    return found


def counted_search(directory: Path, patches: pytest.MonkeyPatch) -> Seen:
    found = Seen()
    connect, load_digits = sqlite3.connect, digits.load_digits
    decode, draw = Decoder.decode, SeededSampling.draw

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(found.statements.append)
        return connection

    def counted_decode(self: Decoder, prompts: Sequence[Any], *rest: Any) -> list[list[int]]:
        found.batches.append(list(prompts))
        found.draws.append(Counter())
        return decode(self, prompts, *rest)

    def counted_draw(self: SeededSampling, logits: Any, replies: Sequence[int]) -> list[int]:
        found.draws[-1].update(replies)
        return draw(self, logits, replies)

    def counted_digits(*arguments: Any) -> Any:
        found.decoded += 1
        return load_digits(*arguments)

    def counted_call(*_: object) -> None:
        found.forwards += 1

    patches.setattr(sqlite3, "connect", traced)
    patches.setattr(Decoder, "decode", counted_decode)
    patches.setattr(SeededSampling, "draw", counted_draw)
    patches.setattr(digits, "load_digits", counted_digits)
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = from_hydra(compose("config", overrides=list(WORDS)))
    directory.mkdir()
    with opened(config, directory, Console(file=io.StringIO())) as run:
        llm: Any = run.search.asking.proposer.llm
        llm.network.register_forward_pre_hook(counted_call)
        found.statements.clear()
        with run.progress:
            assert len(list(run.search.cycles())) == CYCLES
        statements = list(found.statements)
        found.attempts = run.store.attempts()
        found.baselines.update(used.origin for used in run.store.baselines())
        found.work = llm.decoder.work
    found.statements = statements
    return found


def test_a_cycle_asks_the_llm_for_as_many_batches_as_its_slots_fill(seen: Seen):
    """Fewer passes over the weights than slots is what a batch is for; none is asked again."""
    assert list(map(len, seen.batches)) == CYCLES * [BATCH, CANDIDATES - BATCH]


def test_the_llm_runs_once_for_every_prompt_and_once_between_two_draws_of_a_batch(seen: Seen):
    """A batch takes as many steps as its longest reply has draws, less the last, whose token ends
    it; forced tokens ride along, equal prompts are read once, ended replies cost nothing.
    """
    expected = sum(
        len(set(map(tuple, prompts))) + max(draws.values()) - 1
        for prompts, draws in zip(seen.batches, seen.draws, strict=True)
    )
    assert seen.forwards == seen.work.forwards == expected


def test_a_token_is_drawn_or_forced_and_a_third_are_forced(seen: Seen):
    """Together they are what the rows count; where names and copied lines leave no choice, none
    is drawn: 43 % of the tokens where this was written, and no two processors draw quite alike.
    """
    written = sum(row.output_tokens for row in seen.attempts)
    assert seen.work.sampled == sum(draws.total() for draws in seen.draws)
    assert seen.work.sampled + seen.work.forced == written
    assert seen.work.forced >= written / 3


def test_the_image_set_is_decoded_once_a_run(seen: Seen):
    """Executor, zygote and workers share the images that the run has opened."""
    assert seen.decoded == 1


def test_one_zygote_starts_a_run(seen: Seen):
    """A start costs seconds; only one that died is replaced, and here none does."""
    assert seen.starts == 1


def test_a_zygote_forks_its_trials_and_one_worker_a_lane(seen: Seen):
    """A worker is kept from job to job; a new one for each would be a third fork of it."""
    assert seen.forks["zygote"] == TRIAL_FORKS + 1


def test_a_network_costs_two_forks_one_that_fails_the_check_one_and_a_duplicate_none(seen: Seen):
    """Counting and training are processes apart, so that training cannot change the sizes.

    Sizes are known of what passed the check. No network here dies, so no canary is asked.
    """
    own = [row for row in seen.attempts if row.code and not row.reused_from]
    measured = sum(row.parameters is not None for row in own)
    assert measured
    assert seen.forks["worker"] == len(own) + measured + 2 * seen.baselines[Origin.ARCHIVE]


def test_a_row_is_one_transaction_of_three_statements(seen: Seen):
    """BEGIN, INSERT and COMMIT, of which the last waits for the disk; nothing is read back."""
    rows = len(seen.attempts) + seen.baselines[Origin.ARCHIVE] + CYCLES
    inserts = rows + seen.baselines[Origin.ADMITTED]  # within the transactions of their attempts
    verbs = Counter(statement.split()[0] for statement in seen.statements)
    assert verbs == {"BEGIN": rows, "INSERT": inserts, "COMMIT": rows}
