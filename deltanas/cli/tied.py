"""The program `deltanas` in a process that ends with the one that began it: for `deltanas.run`.

Words: the id of that process, then those of `deltanas`. What the kernel watches is the thread that
began this process, not all of its own; that thread must wait for the end, as `deltanas.run` does.
"""

from __future__ import annotations

import runpy
import signal
import sys

from deltanas.evaluate.jail.layers import die_with


def main() -> None:
    """Run the program; it gets SIGTERM, on which it writes what it has, once its parent ends."""
    parent = int(sys.argv.pop(1))
    if sys.platform.startswith("linux"):
        die_with(parent, signal.SIGTERM)
    runpy.run_module("deltanas", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
