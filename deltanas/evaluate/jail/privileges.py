"""Who a candidate runs as: root becomes a plain user, and nobody keeps a capability."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from deltanas.evaluate.jail.syscalls import PR_SET_KEEPCAPS, call, prctl, this_machine

PLAIN_ID = 61001  # user and group: no distribution gives it to anyone
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_SETGID, _CAP_SETUID = 1, 2, 6, 7
_CAPABILITY_VERSION = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("process", ctypes.c_int))


class _Half(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def plain_id() -> int | None:
    """Return the id that candidates get where this process may change its own; None elsewhere."""
    if os.geteuid() != 0 or not (_may(_CAP_SETUID) and _may(_CAP_SETGID)):
        return None
    for kind in ("uid_map", "gid_map"):  # a container may know a few ids only
        ranges = Path(f"/proc/self/{kind}").read_text(encoding="ascii").split()
        firsts, counts = map(int, ranges[::3]), map(int, ranges[2::3])
        if not any(f <= PLAIN_ID < f + n for f, n in zip(firsts, counts, strict=True)):
            return None
    groups = Path("/proc/self/setgroups").read_text(encoding="ascii").strip()
    return PLAIN_ID if groups == "allow" else None


def reading() -> int:
    """Return the capability that reads any file, as a mask; 0 where this process has none."""
    for each in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        if _may(each):
            return 1 << each
    return 0


def drop(identity: int | None, *, kept: int = 0) -> None:
    """Become user and group `identity`, if any, in no other group and without capabilities.

    `kept` are those to keep all the same: that of `reading`, for an interpreter in a folder that
    only root may enter, where another layer says which files. Raises OSError.
    """
    if identity is not None:
        prctl(PR_SET_KEEPCAPS, int(bool(kept)))
        os.setgroups([])
        os.setresgid(identity, identity, identity)
        os.setresuid(identity, identity, identity)
    machine = this_machine()
    if machine is not None:
        header = _Header(_CAPABILITY_VERSION, 0)
        halves = (_Half * 2)(_Half(kept, kept, 0), _Half(0, 0, 0))
        call(machine.numbers["capset"], ctypes.byref(header), ctypes.byref(halves))


def _may(capability: int) -> bool:
    """Tell whether this process has a capability."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("CapPrm:"))
    return bool(int(line.split()[1], 16) >> capability & 1)
