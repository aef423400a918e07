"""The console of every program."""

from __future__ import annotations

import os

from rich.console import Console

from deltanas.cli.streams import silence

PIPED_WIDTH = 100  # columns of a table where there is no terminal to ask


class Terminal(Console):
    """A console that says nothing more where its reader left; no program ends by that."""

    def on_broken_pipe(self) -> None:
        """Drop what is said from here on."""
        silence()


def terminal(*, piped_width: int | None = None) -> Terminal:
    """Return the console of a program; `piped_width` holds without a terminal and COLUMNS."""
    console = Terminal()
    asked = os.environ.get("COLUMNS", "").isdigit()
    return console if console.is_terminal or asked else Terminal(width=piped_width)
