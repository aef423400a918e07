"""Whether a run goes on right now, seen from outside by the lock that its store holds."""

from __future__ import annotations

import fcntl
from pathlib import Path


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
