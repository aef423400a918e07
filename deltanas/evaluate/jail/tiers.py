"""How strong a jail this machine can build: asked of the kernel at start, never assumed."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from enum import StrEnum

from deltanas.evaluate.jail import landlock, privileges, seccomp
from deltanas.records import UserError


class JailError(UserError):
    """No jail, or not the one that was asked for; the message says what to do."""


class Tier(StrEnum):
    """What stands around a candidate besides limits, its identity and an empty environment."""

    STRONG = "strong"  # Landlock: packages only; seccomp: no process, socket, tracing
    NOOPEN = "noopen"  # seccomp alone, which then lets no file be opened at all
    WEAK = "weak"  # neither: files and network are open to candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Jailing:
    """What is stored with every run: the tier in force, and what the kernel offered."""

    tier: Tier
    landlock: int  # version; 0: not there
    seccomp: bool
    identity: int  # user that candidates run as
    kernel: str
    machine: str

    def __str__(self) -> str:
        found = f"Landlock {self.landlock}" if self.landlock else "no Landlock"
        filtered = "seccomp" if self.seccomp else "no seccomp"
        return (
            f"jail {self.tier} ({found}, {filtered}, user {self.identity},"
            f" {self.kernel} on {self.machine})"
        )


def choose(asked: str = "auto") -> Jailing:
    """Return the tier asked for, or with `auto` the strongest of this machine but `weak`.

    Raises JailError where there is none, and outside of Linux.
    """
    if not sys.platform.startswith("linux"):
        raise JailError(
            f"candidates are jailed by Linux; this machine runs {sys.platform}."
            " Use a Linux machine, a virtual one, or a container"
        )
    version, filters = landlock.version(), seccomp.available()
    offered = [Tier.STRONG] if version and filters else []
    offered += [Tier.NOOPEN] if filters else []
    if asked == "auto" and not offered:
        raise JailError(
            "this kernel offers no seccomp filter, so candidates could reach files and network;"
            " deltanas-doctor says more. executor.jail=weak accepts that"
        )
    tier = offered[0] if asked == "auto" else Tier(asked)
    if tier not in (*offered, Tier.WEAK):
        missing = "Landlock (Linux 5.13 or newer, switched on)" if filters else "seccomp"
        raise JailError(
            f"the jail {tier} needs {missing}, which this kernel does not offer;"
            f" executor.jail=auto takes {offered[0] if offered else 'none'}"
        )
    identity = privileges.plain_id()
    return Jailing(
        tier=tier,
        landlock=version,
        seccomp=filters,
        identity=os.geteuid() if identity is None else identity,
        kernel=f"Linux {platform.release()}",
        machine=platform.machine(),
    )
