"""The report: self-contained, safe against the text in it, and honest about what is missing."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deltanas.record.store import RunStore
from deltanas.records import Attempt, Baseline, Finalist, Run, Summary, Verdict
from deltanas.report.diffs import best_attempts, best_so_far, diff_fragment, lineage
from deltanas.report.metrics import run_summary
from deltanas.report.run.funnel import funnel
from deltanas.report.run.page import run_page
from tests.run_fixtures import used


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, fill: Callable[[RunStore], None]
) -> Iterator[RunStore]:
    with RunStore(tmp_path_factory.mktemp("run") / "run.sqlite") as store:
        fill(store)
        yield store


@pytest.fixture(scope="module")
def page(store: RunStore, summary: Summary) -> str:
    return run_page(store.read(), summary)


HOSTILE = "</script></template><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}"


def test_markup_in_every_field_stays_text(
    attempts: list[Attempt],
    finalists: list[Finalist],
    baseline: Baseline,
    summary: Summary,
    check_page: Callable[[str], None],
) -> None:
    texts = ("reason", "prompt", "reply", "delta", "code", "family", "writer")
    rows = [replace(row, **dict.fromkeys(texts, f"{HOSTILE}\n")) for row in attempts]
    named = replace(baseline, family=HOSTILE, code=HOSTILE)
    run = Run(
        attempts=(*rows, replace(rows[0], attempt_id="c09-s009", slot=9, parent_id=HOSTILE)),
        baselines=(used(named), used(replace(named, baseline_id=HOSTILE))),
        finalists=tuple(replace(finalist, reason=HOSTILE) for finalist in finalists),
        meta={
            key: {HOSTILE: HOSTILE}
            for key in ("config", "versions", "jail", "llm", "machine", "baselines")
        }
        | {"command": [HOSTILE], "overrides": [HOSTILE], "commit": HOSTILE, "began": HOSTILE},
    )
    names = dict.fromkeys(("run_id", "llm", "dataset", "archive", "protocol", "ablation"), HOSTILE)
    page = run_page(run, replace(summary, **names), HOSTILE)
    check_page(page)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "{{ 7*7 }}" in page
    assert details_of(page)["lines"].count(HOSTILE) == 1


def details_of(page: str) -> dict[str, Any]:
    """Return what the rows of a page open to."""
    packed = re.findall(r'<template id="details">([A-Za-z0-9+/=]*)</template>', page)
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed[0])))
    return found


def test_the_page_is_well_formed_and_loads_nothing(
    page: str, check_page: Callable[[str], None]
) -> None:
    check_page(page)


def test_the_headline_names_intervals_and_counts(page: str) -> None:
    text = page.replace("\u00a0", " ")
    assert "62.5 %" in text  # valid rate
    assert "5 of 8 attempts; 95 % interval 30.6 to 86.3 %" in text
    assert "71.4 % (95 % interval 35.9 to 91.8 %) without 1 infrastructure failure" in text
    assert "90.0 % fewer lines and 85.0 % fewer tokens" in text
    assert "n = 4; 95 % interval" in text
    assert Verdict.NO_DELTA.for_people in text
    assert "1.250 → 1.500, rolled back" in text


def test_a_study_without_repeats_says_how_to_measure_the_ceiling(page: str) -> None:
    assert "protocol.finalist_repeats=4" in page
    assert "two seeds, both fully trained" not in page
    assert "ranked within each" not in page  # one dataset: pooled, the same figures again


def test_the_study_shows_every_dataset_and_the_noise_ceiling(
    fill: Callable[[RunStore], None],
    finalists: list[Finalist],
    summary: Summary,
    tmp_path: Path,
) -> None:
    other = [replace(f, attempt_id=f"x{i}", dataset="svhn") for i, f in enumerate(finalists)]
    with RunStore(tmp_path / "run.sqlite") as store:
        fill(store)
        for finalist in other:
            store.add_finalist(finalist)
        for finalist in (*finalists, *other):
            store.add_repeat(finalist)
        page = run_page(store.read(), summary)
    cell = '<td{} data-label="{}">([^<]*)</td>'
    rows = re.findall(cell.format(' class="left"', "of") + cell.format("", "ρ"), page)
    assert rows == [
        ("digits", "0.800"),
        ("svhn", "0.800"),
        ("all datasets, ranked within each", "0.800"),
        ("two seeds, both fully trained", "1.000"),
    ]
    assert "would show ρ =\n1.00 (1.00 to 1.00) at" in page
    assert "ρ is 0.80, 95 % interval" in page
    assert "n = 8; the noise ceiling is 1.00." in page


def test_the_same_rows_give_the_same_page(store: RunStore, summary: Summary, page: str) -> None:
    assert run_page(store.read(), summary) == page


def test_a_run_that_broke_off_at_once_says_what_is_missing() -> None:
    summary = run_summary(
        Run(),
        run_id="r<i>",
        llm="tiny",
        dataset="digits",
        archive="builtin",
        protocol="quick",
        ablation=None,
        seed=0,
        wall_seconds=1.0,
        seconds={},
    )
    page = run_page(Run(), summary)
    assert "The run ended before its first attempt: there is nothing to show yet." in page
    assert "No attempt was judged." in page
    assert "<table" not in page
    assert "r&lt;i&gt;" in page


def test_best_candidates_are_chosen_by_proxy_accuracy_only(attempts: list[Attempt]) -> None:
    assert [a.attempt_id for a in best_attempts(attempts)] == ["c01-s000", "c01-s003", "c00-s000"]


def test_the_best_so_far_never_falls(attempts: list[Attempt]) -> None:
    assert best_so_far(attempts) == (0.5, 0.5, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75)
    assert best_so_far(attempts[1:3]) == (None, None)  # one that failed, one degenerate
    assert best_so_far([attempts[0], replace(attempts[4], dataset="svhn")]) == ()


def test_lineage_ends_at_the_archive_and_at_unknown_parents(
    make_attempt: Callable[..., Attempt],
) -> None:
    parents = {"c01-s000": "c00-s000", "c00-s000": "plain-a", "plain-a": None}
    assert lineage(make_attempt(2, 0, parent_id="c01-s000"), parents) == [
        "c02-s000",
        "c01-s000",
        "c00-s000",
        "plain-a",
    ]
    assert lineage(make_attempt(parent_id="lost"), parents) == ["c00-s000", "lost"]


def test_diff_lines_carry_their_kind() -> None:
    html = diff_fragment("--- a\n+++ b\n@@ -1 +1 @@\n-x < 1\n+x & 1\n kept")
    assert re.findall(r'<span class="(\w+)">', html) == [
        "head",
        "head",
        "place",
        "removed",
        "added",
        "kept",
    ]
    assert "x &lt; 1" in html
    assert "x &amp; 1" in html


def test_funnel_ends_at_valid_and_then_useful(attempts: list[Attempt]) -> None:
    gates = funnel(attempts)
    passed = {gate.title: gate.passed for gate in gates}
    assert gates[0].entered == 7  # without the infrastructure failure
    assert passed["Reply holds a delta"] == 6
    assert passed["One epoch completes"] == 5
    assert passed["Joins the pool"] == 2
    assert "Network is new" not in passed
    assert dict(gates[-1].stopped) == {"not admitted": 2}


def test_novelty_is_a_gate_where_it_stopped_something(
    make_attempt: Callable[..., Attempt],
) -> None:
    gates = funnel([make_attempt(0, 0), make_attempt(0, 1, verdict=Verdict.NOT_NOVEL)])
    assert [gate.passed for gate in gates if gate.title == "Network is new"] == [1]
