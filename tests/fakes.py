"""A fake for each main Protocol, so that the loop runs in milliseconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deltanas.evaluate import Jailing
from deltanas.records import (
    Attempt,
    Baseline,
    CycleSummary,
    Evaluation,
    Finalist,
    Job,
    Origin,
    Proposal,
    Purpose,
    Recipe,
    Request,
    Retraining,
    Slot,
    Stage,
    Summary,
    UsedBaseline,
    Verdict,
)
from deltanas.search.judging import proposal_of
from deltanas.tune.tuner import Guard, Lesson, TuneResult

RECIPE = Recipe(lr=0.1, momentum=0.9, batch=8, image_size=8, flip=False)
CONV = "        self.conv = nn.Conv2d(in_shape[1], {width}, 3, padding=1)"
NETWORK = f"""import torch
import torch.nn as nn
def supported_hyperparameters():
    return {{'lr'}}
class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
{CONV.replace("{width}", "WIDTH")}
        self.act = nn.ReLU()
        self.head = nn.Linear(8, out_shape[0])
    def forward(self, x):
        return self.head(self.act(self.conv(x)).mean((2, 3)))
    def train_setup(self, prm):
        pass
    def learn(self, train_data):
        pass
"""


def network(width: int) -> str:
    """Return a network; the inline executor reads its accuracy from the width, in percent."""
    return NETWORK.replace("WIDTH", str(width))


def width_of(code: str) -> int:
    return int(re.search(r"Conv2d\(in_shape\[1\], (\d+)", code)[1])


def delta(old: str, width: int) -> str:
    """Return the reply that gives a network another width."""
    return f"@@\n-{CONV.format(width=width_of(old))}\n+{CONV.format(width=width)}\n"


def baseline(name: str, width: int, family: str | None = None) -> Baseline:
    return Baseline(baseline_id=name, family=family or name, code=network(width), recipe=RECIPE)


class ScriptedProposer:
    """Answers by a function of the request; keeps what it was asked."""

    def __init__(self, answer: Callable[[Request], str]) -> None:
        self.answer, self.asked = answer, []  # type: Callable[[Request], str], list[Request]

    def fits(self, baseline: Baseline, dataset: str) -> bool:
        return True

    def mends(self, request: Request) -> bool:
        return True

    def count_tokens(self, text: str) -> int | None:
        return len(text.split())

    def propose(
        self, requests: Sequence[Request], on_reply: Callable[[], None] = lambda: None
    ) -> list[Proposal]:
        self.asked += requests
        return [
            Proposal(
                prompt="ask",
                reply=self.answer(request),
                prompt_tokens=1,
                output_tokens=2,
                seconds=0.0,
                seed=request.seed,
            )
            for request in requests
        ]


class InlineExecutor:
    """Takes a network's width for its accuracy; widths of 100 and more diverge.

    Networks have equal graphs where their widths are equal when divided by `alike`.
    """

    def __init__(self, order: Callable[[list[Job]], list[Job]] = list, *, alike: int = 1) -> None:
        self.order, self.jobs, self.closed = order, [], False  # jobs in the order they came
        self.alike = alike

    def map(self, jobs: Iterable[Job]) -> Iterator[Evaluation]:
        found = list(jobs)
        self.jobs += found
        for job in self.order(found):
            yield self.evaluate(job)

    def evaluate(self, job: Job) -> Evaluation:
        width = width_of(job.code)
        graph = f"{width // self.alike:032x}" if job.trace else None
        if width >= 100 and job.epochs:
            return Evaluation(
                job_id=job.job_id, verdict=Verdict.DIVERGED, reason="NaN", graph=graph
            )
        accuracy = width / 100 if job.epochs else None
        return Evaluation(
            job_id=job.job_id,
            verdict=Verdict.TRAINED,
            proxy_accuracy=accuracy,
            first_epoch_accuracy=accuracy,
            test_accuracy=accuracy,
            curve=(width / 100,) * job.epochs,
            parameters=width,
            macs=width,
            graph=graph,
        )

    def jailings(self) -> tuple[Jailing, ...]:
        return ()

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass
class ListJournal:
    """Keeps what it is told as a list, of which any beginning is the journal of a killed run."""

    told: list[Any] = field(default_factory=list)
    replies: Mapping[str, Proposal] = field(default_factory=dict)

    def reply(self, slot: str) -> Proposal | None:
        row = self.row(slot)
        return self.replies.get(slot) if row is None else proposal_of(row)

    def row(self, slot: str) -> Attempt | None:
        return next((row for row in self.rows() if row.attempt_id == slot), None)

    def rows(self) -> list[Attempt]:
        return [each[0] for each in self.told if isinstance(each, tuple) and each[0] != "admit"]

    def baseline(self, dataset: str, name: str) -> UsedBaseline | None:
        used = [each for each in self.told if isinstance(each, UsedBaseline)]
        named = (u for u in used if (u.dataset, u.baseline.baseline_id) == (dataset, name))
        return next(named, None)

    def cycle(self, cycle: int) -> CycleSummary | None:
        found = [each for each in self.told if isinstance(each, CycleSummary)]
        return next((each for each in found if each.cycle == cycle), None)

    def retraining(
        self, dataset: str, name: str, purpose: Purpose, number: int
    ) -> Retraining | None:
        wanted = (dataset, name, purpose, number)
        found = [each for each in self.told if isinstance(each, Retraining)]
        return next(
            (e for e in found if (e.dataset, e.network_id, e.purpose, e.number) == wanted), None
        )

    def add_row(self, row: Attempt, joins: Baseline | None) -> None:
        self.told.append((row, joins))

    def admit(self, row: Attempt, joins: Baseline | None) -> None:
        if ("admit", row.attempt_id) not in self.told:
            self.told.append(("admit", row.attempt_id))

    def add_retraining(self, again: Retraining) -> None:
        self.told.append(again)

    def add_baseline(self, used: UsedBaseline) -> None:
        assert used.origin is Origin.ARCHIVE
        self.told.append(used)

    def add_cycle(self, summary: CycleSummary) -> None:
        self.told.append(replace(summary, seconds={}))


class NoBars:
    """Shows nothing."""

    def begin(self, stage: Stage, title: str, total: int | None = None, done: int = 0) -> None: ...

    def advance(self, steps: int = 1) -> None: ...

    def end_cycle(self, summary: CycleSummary, *, recalled: bool = False) -> None: ...

    def say(self, text: str) -> None: ...


class ListTuner:
    """Keeps the lessons of every cycle; its adapter is how often it learned."""

    def __init__(self) -> None:
        self.lessons: list[list[Lesson]] = []  # of every cycle, those held out last
        self.taught: Sequence[Lesson] = ()  # in the last one
        self.guards: list[Guard | None] = []
        self.learned = 0

    def fits(self, lesson: Lesson) -> bool:
        return True

    def learn(
        self,
        lessons: Sequence[Lesson],
        held_out: Sequence[Lesson],
        *,
        seed: int,
        directory: Path,
        guard: Guard | None = None,
    ) -> TuneResult:
        self.lessons.append([*lessons, *held_out])
        self.taught, self.guards = lessons, [*self.guards, guard]
        self.learned += 1
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "learned").write_text(str(self.learned))
        return TuneResult(
            loss_before=1.0, loss_after=0.5, kept=True, steps=1, tokens=1, seconds=0.0
        )

    def load(self, directory: Path) -> None:
        self.learned = int((directory / "learned").read_text())


def requests(baseline: Baseline, seeds: Iterable[int], dataset: str = "digits") -> list[Request]:
    """Return one request for each seed, all for one baseline."""
    return [
        Request(slot=Slot(cycle=0, number=n, dataset=dataset, baseline=baseline), seed=seed)
        for n, seed in enumerate(seeds)
    ]


class ListTracker:
    """Keeps what it is told; `finish` must come last, and once."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.started: tuple[str, str, int] | None = None  # id, name, attempts that were shown

    def start(
        self, run_id: str, name: str, config: Mapping[str, Any], shown: Sequence[Attempt] = ()
    ) -> None:
        self.started = run_id, name, len(shown)

    def log_cycle(self, summary: CycleSummary) -> None:
        self.told.append(f"cycle {summary.cycle}")

    def log_row(self, attempt: Attempt) -> None:
        self.told.append(attempt.attempt_id)

    def log_candidates(self, attempts: Sequence[Attempt]) -> None:
        self.told.append(f"{len(attempts)} candidates")

    def log_finalists(self, finalists: Sequence[Finalist]) -> None:
        self.told.append(f"{len(finalists)} finalists")

    def log_files(self, report: Path, attempts: Sequence[Attempt]) -> None:
        assert report.is_file()
        self.told.append("files")

    def finish(self, summary: Summary | None) -> None:
        self.told.append("finish" if summary else "finish, broken")
