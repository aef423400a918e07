"""What a candidate's process gives up before it sees candidate source.

Covered: outliving its parent, the session, standard streams, open files, the environment, CPU
time, memory, writing files, core dumps. Not covered yet: files that the user may read, the
network, the user's other processes.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
from pathlib import Path

from deltanas.evaluate.channel import Limits

MAX_OPEN_FILES = 64
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def address_space() -> int:
    """Return the bytes of address space that this process uses now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def enter_jail(*, parent: int, answer: int, limits: Limits, base_memory: int) -> None:
    """Confine this process, a fresh fork of process `parent`; descriptor `answer` stays open.

    `base_memory` is the zygote's own address space; `limits.memory_bytes` comes on top.
    Raises OSError or ValueError when a step is refused: then the candidate must not run.
    """
    os.setsid()
    _die_with(parent)
    _keep_only(answer)
    os.environ.clear()
    _set_limits(limits, base_memory)


def _die_with(parent: int) -> None:
    """Ask for SIGKILL when the parent ends; leave now if it already has."""
    if _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, f"prctl(PR_SET_PDEATHSIG): {os.strerror(code)}")
    if os.getppid() != parent:
        raise OSError(f"the parent is process {os.getppid()}; it must be {parent}")


def _keep_only(answer: int) -> None:
    """Point the standard streams at /dev/null and close every other descriptor but `answer`."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.closerange(3, answer)
    os.closerange(answer + 1, os.sysconf("SC_OPEN_MAX"))


def _set_limits(limits: Limits, base_memory: int) -> None:
    cpu_seconds = math.ceil(limits.timeout_s * limits.threads) + 1
    memory = base_memory + limits.memory_bytes
    for name, soft, hard in (
        (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES, MAX_OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0, 0),  # the answer goes through a pipe
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_AS, memory, memory),
    ):
        resource.setrlimit(name, (soft, hard))
