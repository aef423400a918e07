"""The lock of the one process that writes a run, and who holds it."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deltanas.records import UserError


class LockError(UserError):
    """The lock cannot be had; the message says who holds it, or why it cannot be written."""


@contextmanager
def held(store: Path) -> Iterator[None]:
    """Hold the writer's lock of a run's SQLite file; it ends with this process at the latest.

    The lock's file names process and machine for others to read. Raises LockError.
    """
    path = store.with_suffix(".lock")
    if not path.parent.is_dir():  # filelock would make it
        raise LockError(f"{path.parent} cannot hold a run: No such file or directory")
    lock = FileLock(path, timeout=0.5)  # a reader may hold it for a moment
    try:
        lock.acquire()
    except Timeout as error:
        owner = path.read_text(encoding="utf-8", errors="replace").strip()
        raise LockError(
            f"the run in {path.parent} is being written by {owner or 'another process'};"
            " wait for its end, or end it"
        ) from error
    except OSError as error:
        raise LockError(f"{path.parent} cannot hold a run: {error.strerror}") from error
    try:
        try:
            path.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
        except OSError as error:
            raise LockError(f"{path} cannot be written: {error.strerror}") from error
        yield
    finally:
        lock.release()


def is_being_written(store: Path) -> bool:
    """Tell whether a process holds the writer's lock of a run's SQLite file.

    A lock for reading is asked for, which needs no right to write there.
    """
    try:
        handle = store.with_suffix(".lock").open()
    except OSError:  # no lock: no process ever wrote the run, or it is not ours to read
        return False
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
