"""Does the jail hold? Every layer is tried from inside, once, before the first candidate.

A kernel may offer a layer that does nothing here, so what counts is that an attempt fails.
"""

from __future__ import annotations

import mmap
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

from deltanas.evaluate.jail.layers import Jail
from deltanas.evaluate.jail.tiers import Tier


def holes(jail: Jail) -> list[str]:
    """Return one phrase for everything that this process, already jailed, can still do."""
    return [what for what, attempt in _attempts(jail) if _succeeds(attempt)]


def _attempts(jail: Jail) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "it shares its supervisor's session", lambda: _insist(os.getsid(0) != os.getpid())
    yield "it sees an environment", lambda: _insist(bool(os.environ))
    if jail.gpu is None:  # CUDA writes files in memory
        size = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        yield "it may write files", lambda: _insist(size != 0)
    kind = resource.RLIMIT_AS if jail.gpu is None else resource.RLIMIT_DATA
    yield "its memory has no limit", lambda: _insist(resource.getrlimit(kind)[0] < 0)
    if jail.identity is not None:
        yield "it is still root", lambda: _insist(0 in (os.getuid(), os.geteuid(), os.getgid()))
        yield "it can become root", lambda: os.setuid(0)
    if jail.tier is Tier.STRONG:
        yield "Landlock lets it list the root folder", lambda: list(os.scandir("/"))
        yield "Landlock lets it write a file", _write
        yield (
            "Landlock lets it open a file of its supervisor",
            lambda: _open(f"/proc/{os.getppid()}/stat"),
        )
    if jail.tier is Tier.NOOPEN:
        yield "seccomp lets it open a file", lambda: _open(os.devnull)
    if jail.tier is not Tier.WEAK:
        yield "seccomp lets it make a socket", socket.socket
        yield "seccomp lets it start a process", _start_process
        yield "seccomp lets it signal its supervisor", lambda: os.kill(os.getppid(), 0)
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        yield (
            "seccomp lets it set limits",
            lambda: resource.setrlimit(resource.RLIMIT_CORE, limits),
        )
    if jail.tier is not Tier.WEAK and jail.gpu is None:
        yield "seccomp lets it hold memory that does not count", lambda: mmap.mmap(-1, 1).close()


def _succeeds(attempt: Callable[[], object]) -> bool:
    with suppress(OSError, ValueError):  # of setrlimit
        attempt()
        return True
    return False


def _insist(hole: bool) -> None:
    """Raise OSError, as the kernel would, unless there is a hole."""
    if not hole:
        raise PermissionError


def _write() -> None:
    os.close(os.open("/tmp", os.O_WRONLY | os.O_TMPFILE, 0o600))  # a file without a name


def _open(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def _start_process() -> None:
    process = os.fork()
    if process == 0:
        os._exit(0)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
