"""Memory in huge pages: a fork copies, and an exit takes down, one entry instead of 512.

Both walk the page tables of the 0.5 GB that torch and Lightning leave behind, which is most of
what a candidate costs besides its own work. benchmarks/evaluation.py measures it.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

from deltanas.evaluate.jail.syscalls import libc

HUGE = 2 << 20  # bytes of a huge page on x86_64, and on aarch64 with pages of 4 KiB
_MADV_COLLAPSE = 25  # since Linux 6.1
_PRIVATE = re.compile(r"^(\w+)-(\w+) rw-p \w+ \S+ 0\s", re.MULTILINE)  # memory of no file


def collapse() -> None:
    """Put what this process has written so far into huge pages.

    It costs about half a second and a few MB. Where the kernel has no such pages (before Linux
    6.1) or none free, memory stays as it is, only slower to fork.
    """
    for found in _PRIVATE.finditer(Path("/proc/self/maps").read_text(encoding="utf-8")):
        first, last = (int(each, 16) for each in found.groups())
        start, end = -(-first // HUGE) * HUGE, last // HUGE * HUGE
        if start < end:
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_COLLAPSE)
