"""What a start leaves of the directory that Hydra made for it before anything was checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback

STORE, HYDRA = "run.sqlite", ".hydra"
_OURS = frozenset(
    {STORE, f"{STORE}-wal", f"{STORE}-shm", "run.lock"}
    | {f"{HYDRA}/{name}.yaml" for name in ("config", "hydra", "overrides")}
)  # all that a start writes before it is known to be possible


@dataclass(frozen=True, slots=True)
class _Found:
    """A directory before Hydra wrote into it."""

    names: frozenset[str]  # of what is in it
    command: dict[str, bytes]  # what Hydra wrote there for a run that is there already
    missing: tuple[Path, ...]  # it and those above it, if not there yet; the deepest first


class Leftovers(Callback):
    """Called by Hydra, of a single run only: the jobs of a sweep keep what tells of them."""

    found: ClassVar[dict[Path, _Found]] = {}

    def on_run_start(self, config: Any, **kwargs: Any) -> None:
        """Look at the directory of the run before it is made."""
        directory = Path(os.path.abspath(config.hydra.run.dir))  # noqa: PTH100 as Hydra has it
        missing = tuple(p for p in (directory, *directory.parents) if not p.exists())
        names = frozenset(_files(directory))
        known = [name for name in names if name.startswith(f"{HYDRA}/") and STORE in names]
        command = {name: (directory / name).read_bytes() for name in known}
        self.found[directory] = _Found(names, command, missing)


@contextmanager
def left_as_found(directory: Path) -> Iterator[None]:
    """Put back what Hydra wrote over in a directory that has a run, whose command is told there.

    Where no run began in it after all, what was written is removed, and the directory with it,
    unless it was there before or something else is in it.
    """
    try:
        yield
    finally:
        found = Leftovers.found.pop(directory, None)
        if found:
            for name, content in found.command.items():
                (directory / name).write_bytes(content)
            if STORE not in found.names and not _began(directory):
                _remove(directory, found)


def _began(directory: Path) -> bool:
    if not (directory / STORE).exists():
        return False
    from deltanas.search.journal import is_begun  # late: a refusal that needs no store is quick

    return is_begun(directory)


def _remove(directory: Path, found: _Found) -> None:
    new = set(_files(directory)) - found.names
    if not new <= _OURS:
        return
    for name in new:
        (directory / name).unlink()
    for folder in (directory / HYDRA, *found.missing):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _files(directory: Path) -> Iterator[str]:
    """Yield the names of everything in a directory, and in Hydra's folder instead of that."""
    for folder in (directory, directory / HYDRA):
        if folder.is_dir():
            names = (path.relative_to(directory).as_posix() for path in folder.iterdir())
            yield from (name for name in names if name != HYDRA)
