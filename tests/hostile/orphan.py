"""A supervisor with one jailed child that would sleep for an hour; prints the child's number."""

from __future__ import annotations

import os
import sys
import time

from deltanas.evaluate.channel import Limits
from deltanas.evaluate.jail.layers import enter_jail, prepare
from deltanas.evaluate.jail.tiers import choose

LIMITS = Limits(timeout_s=3600, memory_bytes=2**30, threads=1, max_parameters=1, max_macs=1)


def main() -> None:
    jail = prepare(choose("auto" if len(sys.argv) == 1 else sys.argv[1]).tier)
    supervisor = os.getpid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            enter_jail(jail, parent=supervisor, answer=writer, limits=LIMITS)
            os.write(writer, b"jailed")
            time.sleep(3600)
        finally:
            os._exit(1)
    os.read(reader, 6)
    os.write(1, f"{child}\n".encode())
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
