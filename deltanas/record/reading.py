"""Reading a run's file and leaving its folder as it is, whether or not somebody writes there.

SQLite's `mode=ro` alone is not enough: a reader of a file in WAL mode makes `-wal` and `-shm`
beside it where they are missing, leaves them there, and writes into `-shm` where they are not.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote


def address(path: Path, options: str) -> str:
    """Return the URI of a file, whatever bytes its name has."""
    return f"file:{quote(os.fsencode(path.absolute()))}?{options}"


@contextmanager
def reader(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that reads a run's file: what was written, up to the last transaction.

    Of a file that nobody writes it reads a copy in memory.
    """
    with ExitStack() as resources:
        try:
            connection = _opened(path, resources)
        except (sqlite3.DatabaseError, FileNotFoundError):
            connection = _opened(path, resources)  # a writer that ends takes `-wal` with it
        yield connection


def _opened(path: Path, resources: ExitStack) -> sqlite3.Connection:
    """Return a connection whose files are open.

    A run that is being written or was killed has a `-wal` with its last rows, and the `-shm` that
    finds them; a copy of it may lack the latter, and is then read from a copy of its own.
    """
    wal, shm = (path.with_name(f"{path.name}-{end}") for end in ("wal", "shm"))
    while not wal.exists():
        before = _state(path)
        connection = _copy(path, resources)
        if not wal.exists() and _state(path) == before:
            return connection
    uri = address(path, "mode=ro&readonly_shm=1")
    if not shm.exists():
        folder = resources.enter_context(tempfile.TemporaryDirectory(prefix="deltanas-"))
        for file in (path, wal):
            shutil.copyfile(file, Path(folder, file.name))
        uri = address(Path(folder, path.name), "mode=ro")
    connection = sqlite3.connect(uri, uri=True, timeout=30.0, isolation_level=None)
    resources.enter_context(closing(connection))
    connection.execute("SELECT count(*) FROM sqlite_master")
    return connection


def _copy(path: Path, resources: ExitStack) -> sqlite3.Connection:
    """Return a copy in memory; it is worth nothing where somebody wrote meanwhile.

    SQLite takes no lock on an immutable file, and leaves undefined what it reads of one that
    changes.
    """
    copy = resources.enter_context(closing(sqlite3.connect(":memory:", isolation_level=None)))
    uri = address(path, "mode=ro&immutable=1")
    with closing(sqlite3.connect(uri, uri=True)) as file:
        file.backup(copy)
    return copy


def _state(path: Path) -> tuple[int, int, int]:
    """Return what differs once a file was written or replaced."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
