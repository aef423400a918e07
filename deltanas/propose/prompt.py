"""The user turn that asks for a delta, and the answer that would be a good one."""

from __future__ import annotations

import re
from dataclasses import replace
from string import Template

from deltanas.propose.hunks import Excerpt, UnplacedHunkError, compact_delta
from deltanas.records import Attempt, Baseline
from deltanas.source import frozen_lines

BASELINE = frozenset({"architecture", "code", "dataset", "accuracy", "family"})
FIRST = BASELINE | {"examples"}  # what the prompt of a first attempt may name
REPAIR = BASELINE | {"delta", "reason", "advice"}  # and that of a repair
_ADDRESS = re.compile(r"0x[0-9a-f]+")  # another one in every process


def check_template(template: str, known: frozenset[str] = FIRST) -> None:
    """Raise ValueError where a template names an unknown placeholder or shows no source."""
    found = set(Template(template).get_identifiers())
    if unknown := sorted(found - known):
        names = ", $".join(sorted(known))
        raise ValueError(f"the prompt names ${', $'.join(unknown)}; known are ${names}")
    if not found & {"architecture", "code"}:
        raise ValueError("the prompt shows no source; it must hold $code or $architecture")


def excerpt_of(baseline: Baseline, template: str) -> Excerpt:
    """Return what the prompt shows: with `$code` the whole file, else without frozen functions."""
    whole = "code" in Template(template).get_identifiers()
    return Excerpt.of(baseline.code, frozen_lines(baseline.code), hide_frozen=not whole)


def render_prompt(
    template: str,
    baseline: Baseline,
    dataset: str,
    *,
    examples: str = "",
    failed: Attempt | None = None,
) -> str:
    """Return the user turn for one baseline.

    `$code` becomes the source, `$architecture` the source without frozen functions, `$accuracy`
    the proxy accuracy in percent. Only the validation split's accuracy is ever shown. Of the
    attempt that `failed`, `$delta` is the delta, or the reply where it held none, and `$reason`
    and `$advice` say what was wrong.
    """
    accuracy = baseline.proxy_accuracy
    text = Template(template)
    shown = "architecture" in text.get_identifiers()  # a view parses the file: only if asked for
    return text.substitute(
        architecture=excerpt_of(baseline, template).text() if shown else "",
        code=baseline.code,
        dataset=dataset,
        accuracy="unknown" if accuracy is None else f"{100 * accuracy:.1f} %",
        family=baseline.family,
        examples=examples,
        delta=(failed.delta or failed.reply) if failed else "",
        reason=plain_reason(failed) if failed else "",
        advice=failed.verdict.advice if failed else "",
    )


def plain_reason(row: Attempt) -> str:
    """Return why a row failed, in words that are the same in every process."""
    return _ADDRESS.sub("0x...", row.reason)


def render_answer(template: str, baseline: Baseline, code: str, *, whole: bool) -> str | None:
    """Return how the LLM would answer with `code`: as a compact delta, or as the `whole` network.

    None where a delta would touch lines that the prompt does not show.
    """
    if whole:
        return excerpt_of(replace(baseline, code=code), template).text()
    try:
        return compact_delta(excerpt_of(baseline, template), code)
    except UnplacedHunkError:
        return None
