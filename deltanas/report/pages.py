"""Pages of a report: one self-contained HTML file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deltanas.report import formats


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One plot with its caption; `svg` is None where nothing was measured."""

    title: str
    svg: str | None
    caption: str


def render(template: str, context: Mapping[str, object], scripts: Sequence[str] = ()) -> str:
    """Return the page that one of the templates beside this file makes of its context.

    Text is escaped, unless the template calls it `trusted`. The scripts, files beside this one,
    are the only ones that the page may run: its policy names their hash. Raises
    jinja2.UndefinedError for a name that the context lacks.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["trusted"] = Markup  # our own SVG, and escaped diffs
    environment.filters.update(
        percent=formats.percent,
        points=formats.points,
        decimal=formats.decimal,
        count=formats.count,
        duration=formats.duration,
    )
    parts = [(folder / name).read_text(encoding="utf-8") for name in scripts]
    script = "".join(["\n", *parts])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        context, script=Markup(script) if parts else "", script_hash=f"sha256-{digest}"
    )
