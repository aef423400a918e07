"""What programs write, whoever reads it: in any encoding, and to nobody at all."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PLAIN = {  # what the programs write, for encodings that lack it: a sign must not get lost
    "−": "-",
    "–": "-",
    "→": "->",
    "…": "...",
    "·": "|",
    "ρ": "rho",
    "\u00a0": " ",
    "\u2009": " ",
}


def emit(text: str) -> None:
    """Write a text to stdout as it is, at once."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence()


def complain(text: str) -> None:
    """Write a text to stderr, if anybody reads it."""
    with suppress(BrokenPipeError):
        sys.stderr.write(text)
        sys.stderr.flush()


@contextmanager
def any_reader() -> Iterator[None]:
    """Let stdout and stderr take every text, also closed ones, and whoever leaves them."""
    codecs.register_error("deltanas", _replaced)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed before the program began
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 for good
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="deltanas")
    try:
        yield
    finally:
        try:
            emit("")
        except OSError:  # a full disk: it would be tried once more when the program ends
            silence()


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for what an encoding lacks; the bytes of file names stay as they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    if all("\udc80" <= char <= "\udcff" for char in found):
        return found.encode("ascii", "surrogateescape"), error.end
    plain = (_PLAIN.get(char) or _escaped(char) for char in found)
    return "".join(plain), error.end


def _escaped(char: str) -> str:
    return char if char.isascii() else char.encode("ascii", "backslashreplace").decode()


def silence() -> None:
    """Let stdout lead nowhere, so that what is left in its buffer does no harm either."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
