"""Every attempt of a run: its row in the table, and what the row opens to."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from deltanas.records import Attempt, Finalist, Purpose, Retraining, Run
from deltanas.report.confirmation import fresh_gains, improved
from deltanas.report.diffs import lineage, parents_of
from deltanas.report.formats import count, decimal, duration, percent, points
from deltanas.report.run.texts import Runs, Texts, edits

MEGABYTE = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attempt in the table."""

    attempt: Attempt
    family: str
    fresh_gain: float | None  # mean over the fresh seeds of the confirm stage
    improved: bool  # it beat its parent under every one of them


def rows_of(run: Run) -> list[Row]:
    """Return the rows of the table, by cycle and slot."""
    fresh, better = fresh_gains(run), set(improved(run))
    families = {
        (used.dataset, used.baseline.baseline_id): used.baseline.family for used in run.baselines
    }
    return [
        Row(
            attempt=attempt,
            family=attempt.family or families.get((attempt.dataset, attempt.parent_id), ""),
            fresh_gain=fmean(gains) if (gains := fresh.get(attempt.attempt_id)) else None,
            improved=attempt.attempt_id in better,
        )
        for attempt in run.attempts
    ]


def packed_details(run: Run) -> str:
    """Return what the rows open to: JSON, deflated (RFC 1950), in base64.

    The page's script makes text nodes of it and never HTML: what an LLM wrote stays text.
    """
    texts = Texts()
    sources: dict[tuple[str, str], str] = {
        (used.dataset, used.baseline.baseline_id): used.baseline.code for used in run.baselines
    }
    numbers = {key: number for number, key in enumerate(sources)}
    runs = [texts.add(code, coloured=True) for code in sources.values()]
    parents = parents_of(run)
    finals = {finalist.attempt_id: finalist for finalist in run.finalists}
    repeats = {finalist.attempt_id: finalist for finalist in run.repeats}
    again: dict[tuple[str, str], list[Retraining]] = {}
    for each in run.retrainings:
        again.setdefault((each.dataset, each.network_id), []).append(each)
    details = {}
    for attempt in run.attempts:
        key = (attempt.dataset, attempt.parent_id)
        details[attempt.attempt_id] = {
            "verdict": str(attempt.verdict),
            "advice": attempt.verdict.for_people,
            "reason": attempt.reason,
            "path": lineage(attempt, parents)[1:],
            "facts": list(_facts(attempt)),
            "seeds": list(_seeds(again, key, attempt.attempt_id)),
            "training": _training(finals.get(attempt.attempt_id), repeats.get(attempt.attempt_id)),
            **_texts(attempt, texts, numbers.get(key), sources.get(key)),
        }
    whole = texts.packed() | {"sources": runs, "attempts": details}
    text = json.dumps(whole, separators=(",", ":"), allow_nan=False)  # ASCII: surrogates too
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _texts(
    attempt: Attempt, texts: Texts, source: int | None, parent: str | None
) -> dict[str, Runs | list[list[int]] | int | None]:
    """Return prompt, reply, delta and code; edits where both networks are known."""
    delta = bool(attempt.delta and attempt.code)
    return {
        "code": texts.add(attempt.code, coloured=True) if attempt.code else None,
        "parent": source,
        "edits": edits(parent, attempt.code) if delta and parent is not None else None,
        "delta": texts.add(attempt.delta) if attempt.delta else None,
        "prompt": texts.add(attempt.prompt) if attempt.prompt else None,
        "reply": texts.add(attempt.reply) if attempt.reply else None,
    }


def _facts(attempt: Attempt) -> Iterator[tuple[str, str]]:
    """Yield what was measured of an attempt, and what it cost, in words."""
    yield "proxy accuracy, validation", percent(attempt.proxy_accuracy)
    yield "first epoch, test", percent(attempt.first_epoch_accuracy)
    yield "gain over its parent, one seed", points(attempt.gain)
    yield "parameters", count(attempt.parameters)
    yield "multiply-accumulates", count(attempt.macs)
    similarity = "not asked" if attempt.novelty is None else decimal(attempt.novelty, 3)
    yield "similarity to the nearest network", similarity
    yield "delta", f"{count(attempt.delta_lines)} lines, {count(attempt.delta_tokens)} tokens"
    yield "whole network", f"{count(attempt.full_lines)} lines"
    yield "tokens", f"{count(attempt.prompt_tokens)} read, {count(attempt.output_tokens)} written"
    yield "to write it", duration(attempt.seconds_generate)
    yield "to train it", duration(attempt.seconds_evaluate)
    if attempt.cpu_seconds is not None:
        yield "CPU time", duration(attempt.cpu_seconds)
    if attempt.memory_bytes is not None:
        yield "memory", f"{attempt.memory_bytes / MEGABYTE:.0f} MB"
    yield "written by", attempt.writer or "not recorded"
    yield "seed", str(attempt.seed)
    if attempt.repairs:
        yield "mends", attempt.repairs
    if attempt.reused_from:
        yield "score of an equal network", attempt.reused_from
    flags = ("admitted", "degenerate", "overworked")
    yield "flags", ", ".join(flag for flag in flags if getattr(attempt, flag)) or "none"


def _seeds(
    again: Mapping[tuple[str, str], Sequence[Retraining]], parent: tuple[str, str], name: str
) -> Iterator[tuple[str, str, str, str]]:
    """Yield one row a fresh seed: what it was for, validation, the parent's, and test accuracy."""
    parents = {(each.purpose, each.number): each for each in again.get(parent, ())}
    for each in again.get((parent[0], name), ()):
        beside = parents.get((each.purpose, each.number))
        purpose = "race" if each.purpose is Purpose.RACE else "confirm"
        yield (
            f"{purpose} {each.number}",
            percent(each.validation_accuracy),
            percent(beside.validation_accuracy) if beside else "–",
            percent(each.test_accuracy),
        )


def _training(final: Finalist | None, repeat: Finalist | None) -> dict[str, Any] | None:
    """Return the curves of a finalist: validation accuracy after every epoch."""
    if final is None:
        return None
    return {
        "curve": final.curve,
        "again": repeat.curve if repeat else (),
        "told": f"{percent(final.final_accuracy)} on the test split at the end"
        if final.final_accuracy is not None
        else f"{final.verdict}: {final.reason or final.verdict.for_people}",
    }
