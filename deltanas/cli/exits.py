"""How every program ends: its exit codes, and the one list of errors that are the user's."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from deltanas.cli.streams import any_reader, complain, emit
from deltanas.records import UserError
from deltanas.report.formats import visible

DIFFERENT = 1  # a replay that is not alike
REFUSED = 2  # input that cannot be used
INTERRUPTED = 130  # Ctrl-C
TERMINATED = 143  # SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM came; a program ends on it as on Ctrl-C."""


def ending(program: str, action: Callable[[], int | None]) -> int:
    """Run a program's action and return its exit code.

    What the user can mend ends in one message on stderr, without a traceback: a UserError, what
    Hydra or OmegaConf find wrong with an override, and a file that cannot be had.
    """
    with any_reader():
        try:
            with _terminated_as_interrupted():
                code = action() or 0
                emit("")
                return code
        except KeyboardInterrupt as error:
            complain(f"{program}: interrupted\n")
            return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        except _mendable() as error:
            complain(f"{program}: {visible(_one_line(_message(error)))}\n")
            return REFUSED


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM raise Terminated in the main thread."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _one_line(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "; ".join(filter(None, lines)).replace(":; ", ": ")


def _mendable() -> tuple[type[Exception], ...]:
    """Return the errors that the user can mend; Hydra's and OmegaConf's where they are loaded."""
    if "hydra" not in sys.modules and "omegaconf" not in sys.modules:
        return (UserError, OSError)
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    return (UserError, OSError, HydraException, OmegaConfBaseException)


def _message(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    from deltanas.config.overrides import explained

    return explained(error)
