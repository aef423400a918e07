"""Which files a candidate may open: the interpreter and its packages, to read, and nothing else.

Landlock needs no root: https://docs.kernel.org/userspace-api/landlock.html. It does not cover
`stat`, `chmod` and the like; of these the filter of system calls leaves the reading ones only.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from deltanas.evaluate.jail.syscalls import (
    LANDLOCK_ADD_RULE,
    LANDLOCK_CREATE_RULESET,
    LANDLOCK_RESTRICT_SELF,
    call,
    this_machine,
)

_VERSION_ONLY = 1  # flag: ask for the version, make no ruleset
_PATH_BENEATH = 1
_NO_LOG = 1  # flag since version 7: what is refused fills no log of the machine's
_WRITE_FILE, READ_FILE, READ_DIR, _TRUNCATE, _IOCTL_DEV = (1 << bit for bit in (1, 2, 3, 14, 15))
READ = READ_FILE | READ_DIR
DEVICE = READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("directory", ctypes.c_int32))


def version() -> int:
    """Return the kernel's version of Landlock: 1 (Linux 5.13) and up; 0 where there is none."""
    if this_machine() is None:
        return 0
    try:
        return call(LANDLOCK_CREATE_RULESET, None, 0, _VERSION_ONLY)
    except OSError:
        return 0


def _handled(abi: int) -> tuple[_Ruleset, int]:
    """Return everything that this version can forbid, and how many bytes it knows of that."""
    files = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):  # renaming between folders, truncate, ioctl
        files |= (abi >= since) << bit
    network = 0b11 if abi >= 4 else 0  # bind and connect TCP
    scoped = 0b11 if abi >= 6 else 0  # abstract Unix sockets, signals
    return _Ruleset(files, network, scoped), 24 if abi >= 6 else 16 if abi >= 4 else 8


def build(allowed: Mapping[Path, int]) -> int:
    """Return the descriptor of a ruleset that forbids all that Landlock can but `allowed`.

    Keys that do not exist are left out. Raises OSError.
    """
    handled, size = _handled(version())
    ruleset = call(LANDLOCK_CREATE_RULESET, ctypes.byref(handled), size, 0)
    for path, rights in allowed.items():
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        rights &= handled.files if path.is_dir() else handled.files & DEVICE
        rule = _PathRule(rights, place)
        try:
            call(LANDLOCK_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(place)
    return ruleset


def enter(ruleset: int) -> None:
    """Put this thread, which must be the only one, under a ruleset for good.

    Needs no_new_privs. Raises OSError.
    """
    call(LANDLOCK_RESTRICT_SELF, ruleset, _NO_LOG if version() >= 7 else 0)


def world_readable(paths: Iterable[Path]) -> bool:
    """Tell whether a user without rights of their own could read these files and folders."""
    for path in paths:
        found = path.resolve()
        if not found.exists():
            continue
        if not found.stat().st_mode & 0o004:
            return False
        folders = [*found.parents, found] if found.is_dir() else found.parents
        if not all(folder.stat().st_mode & 0o001 for folder in folders):
            return False
    return True
