"""The user turn that asks for a delta, and the answer that would be a good one."""

from __future__ import annotations

from dataclasses import replace
from string import Template

from deltanas.propose.hunks import Excerpt, UnplacedHunkError, compact_delta
from deltanas.records import Baseline
from deltanas.source import frozen_lines

PLACEHOLDERS = frozenset({"architecture", "code", "dataset", "accuracy", "family"})


def check_template(template: str) -> None:
    """Raise ValueError where a template names an unknown placeholder or shows no source."""
    found = set(Template(template).get_identifiers())
    if unknown := sorted(found - PLACEHOLDERS):
        known = ", $".join(sorted(PLACEHOLDERS))
        raise ValueError(f"the prompt names ${', $'.join(unknown)}; known are ${known}")
    if not found & {"architecture", "code"}:
        raise ValueError("the prompt shows no source; it must hold $code or $architecture")


def excerpt_of(baseline: Baseline, template: str) -> Excerpt:
    """Return what the prompt shows: with `$code` the whole file, else without frozen functions."""
    whole = "code" in Template(template).get_identifiers()
    return Excerpt.of(baseline.code, frozen_lines(baseline.code), hide_frozen=not whole)


def render_prompt(template: str, baseline: Baseline, dataset: str) -> str:
    """Return the user turn for one baseline.

    `$code` becomes the source, `$architecture` the source without frozen functions, `$accuracy`
    the proxy accuracy in percent. Only the validation split's accuracy is ever shown.
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
    )


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
