"""Huge pages: the same bytes, in fewer entries of the page table."""

from __future__ import annotations

import platform
import re
import subprocess
import sys

import pytest

KERNEL = tuple(int(each) for each in re.findall(r"\d+", platform.release())[:2])

COLLAPSE = """
import re
from deltanas.evaluate.jail import huge_pages

def huge():
    found = re.search(r"AnonHugePages: *(\\d+)", open("/proc/self/smaps_rollup").read())
    return int(found[1]) * 1024

pattern = bytes(range(256)) * (8 * huge_pages.HUGE // 256)
before = huge()
huge_pages.collapse()
assert pattern == bytes(range(256)) * (8 * huge_pages.HUGE // 256), "memory changed"
print(huge() - before)
"""


@pytest.mark.skipif(KERNEL < (6, 1), reason="the kernel collapses pages on request since 6.1")
def test_what_a_process_wrote_moves_into_huge_pages() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", COLLAPSE], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) >= 7 * 2**21  # of eight pages, as the first and last are cut
