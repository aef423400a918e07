"""Pages of a report: one self-contained HTML file that needs neither network nor scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deltanas.report import formats


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One plot with its caption; `svg` is None where nothing was measured."""

    title: str
    svg: str | None
    caption: str


def render(template: str, context: Mapping[str, object]) -> str:
    """Return the page that one of the templates beside this file makes of its context.

    Text is escaped, unless the template calls it `trusted`. Raises jinja2.UndefinedError for a
    name that the context lacks.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["trusted"] = Markup  # our own SVG and style sheets, and escaped diffs
    environment.filters.update(
        percent=formats.percent,
        points=formats.points,
        decimal=formats.decimal,
        count=formats.count,
        duration=formats.duration,
    )
    return environment.get_template(template).render(context)
