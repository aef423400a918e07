"""The console of every program."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from deltanas.cli.streams import silence
from deltanas.report.formats import visible

PIPED_WIDTH = 100  # columns of a table where there is no terminal to ask
# control characters but for tab and line feed, and those that turn the direction of writing
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Terminal(Console):
    """A console on which no text steers the terminal: a run of somebody else may say anything.

    It says nothing more where its reader left; no program ends by that.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is to be written, with escapes in place of what texts would steer by."""
        for text, style, control in super().render(renderable, options):
            if not control:
                text = _STEERING.sub(lambda found: visible(found[0]), text)
            yield Segment(text, style, control)

    def on_broken_pipe(self) -> None:
        """Drop what is said from here on."""
        silence()


def terminal(*, piped_width: int | None = None) -> Terminal:
    """Return the console of a program; `piped_width` holds without a terminal and COLUMNS."""
    console = Terminal()
    asked = os.environ.get("COLUMNS", "").isdigit()
    return console if console.is_terminal or asked else Terminal(width=piped_width)
