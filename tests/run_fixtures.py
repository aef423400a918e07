"""Rows of a small run, made up but consistent, and what every page must keep."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from deltanas.record.store import RunStore
from deltanas.records import (
    Attempt,
    Baseline,
    CycleSummary,
    Finalist,
    FinishedRun,
    Origin,
    Purpose,
    Recipe,
    Retraining,
    Run,
    Stage,
    Summary,
    UsedBaseline,
    Verdict,
)
from deltanas.report.metrics import run_summary, summarise_cycle

DELTA = """\
--- a/net.py
+++ b/net.py
@@ -3,2 +3,2 @@
-        self.conv = nn.Conv2d(1, 16, 3)
+        self.conv = nn.Conv2d(1, 32, 3)  # <script>alert('delta')</script>
         self.head = nn.Linear(16, 10)
"""
SPENT: dict[Stage, float] = {
    "baselines": 8.0,
    "generate": 2.0,
    "screen": 0.5,
    "evaluate": 1.0,
    "tune": 2.0,
    "record": 0.25,
}


def _attempt(cycle: int = 0, slot: int = 0, **changes: Any) -> Attempt:
    trained = changes.get("verdict", Verdict.TRAINED) is Verdict.TRAINED
    values: dict[str, Any] = {
        "attempt_id": f"c{cycle:02d}-s{slot:03d}",
        "cycle": cycle,
        "slot": slot,
        "parent_id": "plain-a",
        "dataset": "digits",
        "verdict": Verdict.TRAINED,
        "reason": "" if trained else "channels 32 and 16 differ in head <b>",
        "prompt": "edit this",
        "reply": DELTA,
        "delta": DELTA,
        "code": "class Net: ...\n",
        "delta_lines": 6,
        "delta_tokens": 60,
        "prompt_tokens": 100,
        "output_tokens": 64,
        "full_lines": 60,
        "full_tokens": 400,
        "seed": 2**63 - 1,
        "seconds_generate": 0.5,
        "seconds_evaluate": 0.25,
        "proxy_accuracy": 0.5 if trained else None,
        "first_epoch_accuracy": 0.5 if trained else None,
        "gain": 0.125 if trained else None,
    }
    return Attempt(**(values | changes))


@pytest.fixture(scope="session")
def make_attempt() -> Callable[..., Attempt]:
    """Return a factory: `make_attempt(cycle, slot, **changes)`."""
    return _attempt


@pytest.fixture(scope="session")
def baseline() -> Baseline:
    recipe = Recipe(lr=0.01, momentum=0.9, batch=32, image_size=8, flip=False, dropout=0.1)
    return Baseline(
        baseline_id="plain-a",
        family="plain",
        code="class Net: ...\n",
        recipe=recipe,
        proxy_accuracy=0.375,
    )


@pytest.fixture(scope="session")
def attempts() -> list[Attempt]:
    """Two cycles of four: five valid, two of them useful, one infrastructure failure."""
    return [
        _attempt(0, 0, admitted=True),
        _attempt(0, 1, verdict=Verdict.SHAPE),
        _attempt(0, 2, degenerate=True, proxy_accuracy=0.1, first_epoch_accuracy=0.1, gain=-0.3),
        _attempt(0, 3, verdict=Verdict.INFRASTRUCTURE),
        _attempt(1, 0, admitted=True, proxy_accuracy=0.75, first_epoch_accuracy=0.875),
        _attempt(1, 1, reused_from="c00-s000"),
        _attempt(1, 2, verdict=Verdict.NO_DELTA, delta="", delta_lines=None, full_lines=None),
        _attempt(1, 3, parent_id="c00-s000", proxy_accuracy=0.625),
    ]


@pytest.fixture(scope="session")
def cycles(attempts: list[Attempt]) -> list[CycleSummary]:
    losses: list[dict[str, Any]] = [
        {"tune_loss_before": 1.5, "tune_loss_after": 1.25, "adapter_kept": True},
        {"tune_loss_before": 1.25, "tune_loss_after": 1.5, "adapter_kept": False},
    ]
    return [
        summarise_cycle(cycle, [a for a in attempts if a.cycle == cycle], seconds=SPENT, **loss)
        for cycle, loss in enumerate(losses)
    ]


@pytest.fixture(scope="session")
def finalists() -> list[Finalist]:
    """Four that finished, in the order of their proxy but for one pair, and one that did not."""
    scores = [(0.5, 0.80), (0.6, 0.90), (0.7, 0.85), (0.8, 0.95), (0.4, None)]
    return [
        Finalist(
            attempt_id=f"c00-s{slot:03d}",
            dataset="digits",
            proxy_accuracy=proxy,
            final_accuracy=final,
            curve=() if final is None else (0.25, 0.5),
            verdict=Verdict.DIVERGED if final is None else Verdict.TRAINED,
        )
        for slot, (proxy, final) in enumerate(scores)
    ]


CHOSEN = {  # of the confirm stage
    "sample": ["c00-s000", "c01-s003"],
    "best": ["c01-s000", "c00-s000"],
    "baselines": [["digits", "plain-a"]],
    "seeds": 2,
}


@pytest.fixture(scope="session")
def retrainings() -> list[Retraining]:
    """Two fresh seeds after the search; of the sample one beats its parent under both."""
    accuracies = {
        "plain-a": (0.375, 0.5),
        "c00-s000": (0.5, 0.625),
        "c01-s003": (0.75, 0.5),
        "c01-s000": (0.75, 0.875),
    }
    return [
        Retraining(
            network_id=name,
            dataset="digits",
            purpose=Purpose.CONFIRM,
            number=number,
            seed=number + 1,
            verdict=Verdict.TRAINED,
            validation_accuracy=accuracy,
            test_accuracy=accuracy - 0.125,
        )
        for name, found in accuracies.items()
        for number, accuracy in enumerate(found)
    ]


def used(baseline: Baseline, **changes: Any) -> UsedBaseline:
    """Return a baseline as a run on digits used it."""
    fields = {"dataset": "digits", "origin": Origin.ARCHIVE, "verdict": Verdict.TRAINED}
    return UsedBaseline(baseline=baseline, **(fields | changes))


@pytest.fixture(scope="session")
def summary(
    attempts: list[Attempt],
    cycles: list[CycleSummary],
    finalists: list[Finalist],
    retrainings: list[Retraining],
) -> Summary:
    return run_summary(
        Run(
            attempts=tuple(attempts),
            cycles=tuple(cycles),
            finalists=tuple(finalists),
            retrainings=tuple(retrainings),
            meta={"confirm": CHOSEN},
        ),
        run_id="tiny-digits-0042",
        llm="tiny",
        dataset="digits",
        archive="builtin",
        protocol="quick",
        ablation=None,
        seed=42,
        wall_seconds=90.0,
        seconds={Stage.start: 10.0, Stage.study: 50.0},
    )


@pytest.fixture(scope="session")
def fill(
    attempts: list[Attempt],
    cycles: list[CycleSummary],
    finalists: list[Finalist],
    retrainings: list[Retraining],
    baseline: Baseline,
) -> Callable[[RunStore], None]:
    """Return a function that writes the whole run into a store."""

    def write(store: RunStore) -> None:
        store.set_meta("config", {"llm": {"name": "tiny"}, "seed": 42})
        store.add_baseline(used(baseline))
        for attempt in attempts:
            store.append(attempt)
        for cycle in cycles:
            store.add_cycle(cycle)
        for finalist in finalists:
            store.add_finalist(finalist)
        store.set_meta("confirm", CHOSEN)
        for again in retrainings:
            store.add_retraining(again)

    return write


@pytest.fixture
def write_run(summary: Summary) -> Callable[..., Path]:
    """Return a function that writes the summary of a run with some figures changed."""

    def write(directory: Path, **changes: object) -> Path:
        directory.mkdir(parents=True)
        text = json.dumps(summary.flat() | changes)
        (directory / "summary.json").write_text(text, encoding="utf-8")
        return directory

    return write


@pytest.fixture
def make_run(summary: Summary) -> Callable[..., FinishedRun]:
    """Return a factory: `make_run(seed, settings, **figures)`."""

    def make(
        seed: int = 1, settings: Mapping[str, str] | None = None, **figures: object
    ) -> FinishedRun:
        return FinishedRun(
            directory=Path(f"run-{seed}"),
            summary=replace(summary, seed=seed, **figures),
            settings=settings or {},
            cycles=(),
        )

    return make


VERSION_5 = """
DROP TABLE retrainings;
ALTER TABLE attempts DROP COLUMN graph;
ALTER TABLE baselines DROP COLUMN graph;
ALTER TABLE attempts DROP COLUMN repairs;
ALTER TABLE attempts DROP COLUMN writer;
ALTER TABLE cycles DROP COLUMN distinct_valid;
UPDATE meta SET value = '5' WHERE key = 'schema_version';
"""


def make_older(file: Path, script: str = VERSION_5) -> None:
    """Make a run's file one of an earlier schema version."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)


VOID = {"meta", "br", "img", "link", "input"}
POLICY = re.compile(
    r"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    r"(?:; script-src '([^' ]+)')?\""
)


class Balance(HTMLParser):
    """Checks that every element is closed, and collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="session")
def check_page() -> Callable[[str], None]:
    """Return a check that a page is well formed, small, loads nothing and runs its own script."""

    def check(page: str) -> None:
        (allowed,) = POLICY.findall(page)
        scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
        digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
        hashes = [f"sha256-{base64.b64encode(digest).decode()}" for digest in digests]
        assert hashes == ([allowed] if allowed else [])
        parser = Balance()
        parser.feed(page)
        parser.close()
        assert parser.open == []
        assert not parser.seen & {"link", "img", "iframe", "object", "embed", "base"}
        assert not parser.attributes & {"src", "onload", "onclick", "onerror", "srcset"}
        assert "http://" not in page
        assert "https://" not in page
        assert not re.search(r"@import|url\((?!#)", page)
        assert len(page.encode()) < 1_000_000

    return check
