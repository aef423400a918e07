"""A run's SQLite file: the truth about a run and the place from which it resumes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from deltanas.record import lock, migration, schema
from deltanas.record.reading import address, reader
from deltanas.record.rows import Cell, column_names, from_row, to_row
from deltanas.record.schema import baseline_row, definitions, used_baseline
from deltanas.records import (
    Attempt,
    CycleSummary,
    Finalist,
    Retraining,
    Run,
    UsedBaseline,
    UserError,
    resume_line,
)

T = TypeVar("T", Attempt, CycleSummary, Finalist, Retraining)


class RunStoreError(UserError):
    """A run's file that cannot be used, or a row that it refuses; the message says which."""


class RunStore:
    """One run's `run.sqlite`: rows are appended, one transaction each; only `admit` changes one.

    One process writes and a second writer is refused; readers may open the file at any time, and
    leave its folder as it is.
    A `run.lock` beside the file carries the writer's lock, which ends with its process.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file for writing and create it where it is missing, or open it to read only.

        Raises RunStoreError when it is missing (read only), is not a run's file, has another
        schema version, cannot be written, or is being written by another process.
        """
        self.path = path
        if read_only and not path.is_file():
            raise RunStoreError(f"no run at {path}: the file must exist to be read")
        with ExitStack() as resources:
            if not read_only:
                resources.enter_context(_writer_lock(path))
            try:
                opened = reader(path) if read_only else closing(_writer(path))
                connection = resources.enter_context(opened)
                if not read_only:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.execute("PRAGMA synchronous = FULL")
                elif _version(connection) in migration.MIGRATED:
                    file, connection = (
                        connection,
                        sqlite3.connect(":memory:", isolation_level=None),
                    )
                    resources.enter_context(closing(connection))
                    file.backup(connection)
                _prepare(connection, path, read_only)
            except (sqlite3.Error, ValueError) as error:
                raise RunStoreError(f"{path} cannot be used as a run's file: {error}") from error
            self._connection = connection
            self._resources = resources.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the store is not usable afterwards. Closing twice does nothing."""
        self._resources.close()

    def append(self, attempt: Attempt, joins: UsedBaseline | None = None) -> None:
        """Add one attempt and, in the same transaction, the baseline that it becomes.

        Raises RunStoreError when its id, or its cycle and slot, are there already, when an
        accuracy comes with a verdict other than TRAINED, or when a number is not finite.
        """
        with self._transaction(f"attempt {attempt.attempt_id}"):
            self._insert("attempts", to_row(attempt))
            if joins is not None:
                self._insert("baselines", baseline_row(joins))

    def add_baseline(self, used: UsedBaseline) -> None:
        """Add one baseline of a dataset. Raises RunStoreError when it is there already."""
        with self._transaction(f"baseline {used.baseline.baseline_id}"):
            self._insert("baselines", baseline_row(used))

    def add_cycle(self, summary: CycleSummary) -> None:
        """Add one finished cycle. Raises RunStoreError when it is there already."""
        with self._transaction(f"cycle {summary.cycle}"):
            self._insert("cycles", to_row(summary))

    def add_finalist(self, finalist: Finalist) -> None:
        """Add one finalist. Raises RunStoreError when its id is there already."""
        with self._transaction(f"finalist {finalist.attempt_id}"):
            self._insert("finalists", to_row(finalist))

    def add_repeat(self, finalist: Finalist) -> None:
        """Add how a finalist ended under another seed; errors as `add_finalist`."""
        with self._transaction(f"repeat {finalist.attempt_id}"):
            self._insert("repeats", to_row(finalist))

    def add_retraining(self, again: Retraining) -> None:
        """Add a network's epoch under a fresh seed. Raises RunStoreError where it is there."""
        with self._transaction(f"{again.purpose} {again.number} of {again.network_id}"):
            self._insert("retrainings", to_row(again))

    def admit(self, attempt_id: str, joins: UsedBaseline | None) -> None:
        """Mark an attempt that won its race, and add the baseline that it becomes, if any.

        The one change that a row ever sees. Raises RunStoreError for an unknown attempt.
        """
        with self._transaction(f"admission of {attempt_id}"):
            query = "UPDATE attempts SET admitted = 1 WHERE attempt_id = ?"
            if self._connection.execute(query, (attempt_id,)).rowcount != 1:
                raise ValueError("there is no such attempt")
            if joins is not None:
                self._insert("baselines", baseline_row(joins))

    def set_meta(self, key: str, value: object) -> None:
        """Store one JSON value about the run (id, configuration, versions); the last counts."""
        with self._transaction(f"meta {key}"):
            text = json.dumps(value, allow_nan=False)
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, text))

    def add_seconds(self, key: str, seconds: float) -> None:
        """Add to a duration about the run, which another process may have begun."""
        self.set_meta(key, (self.meta(key) or 0.0) + seconds)

    def meta(self, key: str) -> Any:
        """Return one JSON value about the run, or None where it was never set."""
        query = "SELECT value FROM meta WHERE key = ?"
        with self._reading():
            row = self._connection.execute(query, (key,)).fetchone()
            return None if row is None else json.loads(row[0])

    def read(self) -> Run:
        """Return everything that the file holds."""
        with self._reading():
            pairs = self._connection.execute("SELECT key, value FROM meta").fetchall()
            meta = {key: json.loads(value) for key, value in pairs}
        return Run(
            attempts=tuple(self.attempts()),
            cycles=tuple(self.cycles()),
            baselines=tuple(self.baselines()),
            finalists=tuple(self.finalists()),
            repeats=tuple(self.repeats()),
            retrainings=tuple(self.retrainings()),
            meta=meta,
        )

    def attempts(self) -> list[Attempt]:
        """Return every attempt, by cycle and slot."""
        return self._read("attempts", Attempt, "cycle, slot")

    def cycles(self) -> list[CycleSummary]:
        """Return every finished cycle, in order."""
        return self._read("cycles", CycleSummary, "cycle")

    def finalists(self) -> list[Finalist]:
        """Return every finalist, in the order they were added."""
        return self._read("finalists", Finalist, "rowid")

    def repeats(self) -> list[Finalist]:
        """Return how finalists ended under another seed, by id."""
        return self._read("repeats", Finalist, "attempt_id")

    def retrainings(self) -> list[Retraining]:
        """Return every epoch under a fresh seed, in the order they were added."""
        return self._read("retrainings", Retraining, "rowid")

    def baselines(self) -> list[UsedBaseline]:
        """Return every baseline, in the order they were added."""
        with self._reading():
            rows = self._connection.execute("SELECT * FROM baselines ORDER BY rowid")
            return [used_baseline(row) for row in rows]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Say which file is damaged, whatever is wrong with it."""
        try:
            yield
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise RunStoreError(f"{self.path} cannot be read: {error}") from error

    @contextmanager
    def _transaction(self, what: str) -> Iterator[None]:
        """Commit as a whole or not at all, and name the row that was refused."""
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.OperationalError as error:  # of the disk, not of the row
            raise RunStoreError(
                f"{self.path} cannot take {what}: {error}; what it held before is safe. See to"
                f" the disk, then {resume_line(self.path.parent)} goes on"
            ) from error
        except (sqlite3.Error, ValueError) as error:
            raise RunStoreError(f"{self.path.name} refuses {what}: {error}") from error

    def _insert(self, table: str, row: tuple[Cell, ...]) -> None:
        marks = ", ".join("?" * len(row))
        self._connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)

    def _read(self, table: str, kind: type[T], order: str) -> list[T]:
        query = f"SELECT {', '.join(column_names(kind))} FROM {table} ORDER BY {order}"
        with self._reading():
            return [from_row(kind, row) for row in self._connection.execute(query)]


@contextmanager
def _writer_lock(path: Path) -> Iterator[None]:
    """Hold the lock of the one process that writes; it ends however that process ends."""
    try:
        with lock.held(path):
            yield
    except lock.LockError as error:
        raise RunStoreError(str(error)) from error


def _writer(path: Path) -> sqlite3.Connection:
    uri = address(path, "mode=rwc")
    return sqlite3.connect(uri, uri=True, timeout=30.0, isolation_level=None)


def _version(connection: sqlite3.Connection) -> Any:
    """Return the schema version of a file; None where it is no run's."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    query = "SELECT value FROM meta WHERE key = 'schema_version'"
    row = connection.execute(query).fetchone() if "meta" in tables else None
    return None if row is None else json.loads(row[0])


def _prepare(connection: sqlite3.Connection, path: Path, read_only: bool) -> None:
    """Create the tables in an empty file, or check that they are the ones this version writes."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not tables and not read_only:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for definition in definitions().values():
                connection.execute(definition)
            version = ("schema_version", json.dumps(schema.VERSION))
            connection.execute("INSERT INTO meta VALUES (?, ?)", version)
        return
    if not tables:
        raise RunStoreError(f"{path} is empty: the run has not begun, or it never did")
    found = _version(connection)
    if found in migration.MIGRATED:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            migration.upgrade(connection, definitions(), found, schema.VERSION)
        return
    if found != schema.VERSION:
        raise RunStoreError(
            f"{path} has schema version {found}; this program reads version {schema.VERSION}"
        )
