"""The LEMUR wheel turned into one SQLite file, all or nothing."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import ZipFile

from deltanas.archive.base import ArchiveError
from deltanas.archive.lemur import SCHEMA, VERSION, family_of, read_meta
from deltanas.archive.lemur_networks import NetworkText, examined
from deltanas.archive.lemur_wheel import Statistics, listing, opened, recipe_columns, trials

Progress = Callable[[str, int, int], None]  # "trials" or "networks", done, in all


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCounts:
    """What one wheel holds."""

    networks: int
    statistics_files: int  # JSON files of training statistics, empty lists included
    trials: int  # rows in all of them


EXPECTED = ImportCounts(networks=10_482, statistics_files=105_447, trials=578_595)

TABLES = """
CREATE TABLE networks (
    network_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, family TEXT NOT NULL,
    lines INTEGER NOT NULL, chars INTEGER NOT NULL, fingerprint TEXT NOT NULL,
    duplicate_of TEXT, interface_ok INTEGER NOT NULL, imports TEXT NOT NULL);
CREATE TABLE texts (network_id INTEGER PRIMARY KEY, code BLOB NOT NULL, source BLOB NOT NULL);
CREATE TABLE datasets (
    dataset_id INTEGER PRIMARY KEY, task TEXT NOT NULL, dataset TEXT NOT NULL,
    metric TEXT NOT NULL, UNIQUE (task, dataset, metric));
CREATE TABLE recipes (
    recipe_id INTEGER PRIMARY KEY, uid TEXT NOT NULL, lr REAL, momentum REAL, batch INTEGER,
    dropout REAL, transform TEXT NOT NULL, resolution INTEGER, flip INTEGER, prm TEXT);
CREATE TABLE trials (
    dataset_id INTEGER, epoch INTEGER, network_id INTEGER, trial INTEGER, accuracy REAL NOT NULL,
    recipe_id INTEGER NOT NULL, duration INTEGER NOT NULL,
    PRIMARY KEY (dataset_id, epoch, network_id, trial)) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE VIEW trial_rows AS
    SELECT name AS network, task, dataset, metric, epoch, accuracy, lr, momentum, batch, dropout,
           transform, uid, duration, prm
    FROM trials JOIN networks USING (network_id) JOIN datasets USING (dataset_id)
         JOIN recipes USING (recipe_id);
"""
INDEXES = """
CREATE INDEX trials_by_network ON trials (network_id);
CREATE INDEX networks_by_fingerprint ON networks (fingerprint);
ANALYZE;
"""


def import_wheel(
    wheel: Path,
    destination: Path,
    progress: Progress | None = None,
    *,
    expected: ImportCounts | None = EXPECTED,
    workers: int = 0,
) -> ImportCounts:
    """Write everything that the wheel holds to the SQLite file `destination`.

    The file appears under its name only when it is complete. `workers` processes parse networks
    beside this one; with 0 this one does. `expected` is what the wheel must hold; None: anything.
    Raises ArchiveError for a wheel that is missing, damaged, of another version or of other
    counts, and when another import is writing the same file.
    """
    report = progress or (lambda stage, done, total: None)
    with opened(wheel) as archive, _partial(destination) as connection:
        codes, statistics = listing(archive)
        network_ids = {name: i for i, name in enumerate(codes, 1)}
        texts = [archive.read(file).decode() for file in codes.values()]
        connection.executescript(TABLES)
        connection.execute("BEGIN")
        with examined(texts, workers) as networks:
            rows = _write_trials(connection, archive, statistics, network_ids, report)
            distinct, complete = _write_networks(connection, networks, network_ids, report)
        counts = ImportCounts(networks=len(codes), statistics_files=len(statistics), trials=rows)
        if expected is not None and counts != expected:
            raise ArchiveError(f"{wheel} holds {counts}; version {VERSION} must hold {expected}")
        meta = {"schema": SCHEMA, "version": VERSION, **asdict(counts)}
        meta |= {"distinct": distinct, "complete": complete}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
        connection.execute("COMMIT")
        connection.executescript(INDEXES)
    return counts


def imported_counts(path: Path) -> ImportCounts | None:
    """Return what a finished import at `path` holds; None when there is none of this schema."""
    try:
        meta = read_meta(path)
        return ImportCounts(**{key: int(meta[key]) for key in ImportCounts.__slots__})
    except (ArchiveError, KeyError):
        return None


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@contextmanager
def _partial(destination: Path) -> Iterator[sqlite3.Connection]:
    """Yield a database that takes the destination's name once the block succeeds.

    Its exclusive lock is held to the end, so what a killed import left behind can be told from
    what another one is writing.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(destination.name + ".partial")
    try:
        _discard(partial)
        try:
            yield from _locked(partial)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(destination)
        finally:
            partial.unlink(missing_ok=True)
    except sqlite3.OperationalError as error:
        raise ArchiveError(f"{partial} cannot be written: {error}") from error


def _locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a new database under an exclusive lock; without a journal, as it is all or nothing."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"
            "BEGIN EXCLUSIVE; COMMIT"
        )
        yield connection


def _discard(partial: Path) -> None:
    """Delete what a killed import left behind; refuse while another import holds its lock."""
    if not partial.exists():
        return
    with closing(sqlite3.connect(partial, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise ArchiveError(f"another import is writing {partial}: {error}") from error
        except sqlite3.DatabaseError:
            pass  # killed before its first page was whole
    partial.unlink()


def _write_networks(
    connection: sqlite3.Connection,
    networks: Iterable[NetworkText],
    network_ids: dict[str, int],
    report: Progress,
) -> tuple[int, int]:
    """Insert the networks; return how many are distinct and how many complete."""
    first: dict[str, str] = {}
    complete = 0
    for (name, number), network in zip(network_ids.items(), networks, strict=True):
        original = first.setdefault(network.fingerprint or name, name)
        complete += network.interface_ok
        connection.execute(
            "INSERT INTO networks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                name,
                family_of(name),
                network.lines,
                network.chars,
                network.fingerprint,
                None if original == name else original,
                network.interface_ok,
                network.imports,
            ),
        )
        connection.execute(
            "INSERT INTO texts VALUES (?, ?, ?)", (number, network.code, network.source)
        )
        if number % 100 == 0 or number == len(network_ids):
            report("networks", number, len(network_ids))
    return len(first), complete


def _write_trials(
    connection: sqlite3.Connection,
    archive: ZipFile,
    statistics: list[Statistics],
    network_ids: dict[str, int],
    report: Progress,
) -> int:
    """Insert every trial, with datasets and recipes stored once; return the number of trials."""
    datasets: dict[tuple[str, ...], int] = {}
    recipes: dict[tuple[object, ...], int] = {}
    rows: list[tuple[object, ...]] = []
    for done, entry in enumerate(statistics, 1):
        if entry.network not in network_ids:
            raise ArchiveError(f"{entry.file} is about {entry.network!r}, which the wheel has not")
        dataset = datasets.setdefault(entry[:3], len(datasets) + 1)
        key = (dataset, entry.epoch, network_ids[entry.network])
        for number, trial in enumerate(trials(archive, entry)):
            recipe = recipes.setdefault(recipe_columns(trial), len(recipes) + 1)
            rows.append((*key, number, trial["accuracy"], recipe, trial["duration"]))
        if done % 500 == 0 or done == len(statistics):
            report("trials", done, len(statistics))
    rows.sort()  # in the order of the primary key, so that the pages are filled one by one
    connection.executemany("INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.executemany(
        "INSERT INTO datasets VALUES (?, ?, ?, ?)", [(i, *key) for key, i in datasets.items()]
    )
    connection.executemany(
        f"INSERT INTO recipes VALUES ({', '.join('?' * 10)})",
        [(i, *key) for key, i in recipes.items()],
    )
    return len(rows)
