"""The lock of the one process that writes a run, and who holds it."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deltanas.records import UserError


class LockError(UserError):
    """The lock cannot be had; the message says who holds it, or why it cannot be written."""


@contextmanager
def held(store: Path) -> Iterator[None]:
    """Hold the writer's lock of a run's SQLite file; it ends with this process at the latest.

    The lock's file names process and machine for others to read. Raises LockError.
    """
    path = store.with_suffix(".lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LockError(f"{path.parent} cannot hold a run: {error.strerror}") from error
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(descriptor, 256, 0).decode(errors="replace").strip()
            raise LockError(
                f"the run in {path.parent} is being written by {owner or 'another process'};"
                " wait for its end, or end it"
            ) from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
        except OSError as error:
            raise LockError(f"{path} cannot be written: {error.strerror}") from error
        yield
    finally:
        os.close(descriptor)


def is_being_written(store: Path) -> bool:
    """Tell whether another process holds the writer's lock of a run's SQLite file.

    Not for the process that writes: closing the lock's file here would let go of its lock.
    """
    try:
        handle = store.with_suffix(".lock").open()
    except OSError:  # no lock: no process ever wrote the run, or it is not ours to read
        return False
    with handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
