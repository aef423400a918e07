"""One jailed child: fork it, watch it, end it, and say what became of it.

Runs in a worker process. The child's bytes are collected up to a cap and never looked at here.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from deltanas.evaluate.channel import ChannelClosed, Ending, Limits, Report
from deltanas.evaluate.jail import Jail, enter_jail

LOOK_S = 0.05  # how often memory and threads are looked at
MAX_THREADS = 64  # of a child, besides four for each that it was given
_THREADS, _RESIDENT = 17, 21  # fields of /proc/PID/stat after the name


def run_child(
    work: Callable[[], bytes],
    jail: Jail,
    limits: Limits,
    *,
    cap: int,
    mapped: int = 0,
    connection: socket.socket | None = None,
) -> tuple[Report, bytes]:
    """Run `work` in a jailed fork; return what became of the process, and its raw answer.

    `cap` is the most bytes that it may answer with, `mapped` those of shared images, which count
    as its memory once it has read them. Raises ChannelClosed, the child being dead by
    then, when the parent leaves `connection`.
    """
    began = time.monotonic()
    worker = os.getpid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(work, jail, limits, writer, worker)
    os.close(writer)
    try:
        ending, output = _watch(
            child, reader, connection, began + limits.timeout_s, cap, limits, mapped
        )
    finally:
        os.close(reader)
        _kill(child)
        _, status, usage = os.wait4(child, 0)
    report = Report(
        ending=ending,
        exit_code=os.waitstatus_to_exitcode(status),
        seconds=time.monotonic() - began,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        memory_bytes=usage.ru_maxrss * 1024,
        output_bytes=len(output),
    )
    return report, output


def _be_child(
    work: Callable[[], bytes], jail: Jail, limits: Limits, writer: int, worker: int
) -> NoReturn:
    write, leave = os.write, os._exit  # what candidates put in their place is not called
    try:
        enter_jail(jail, parent=worker, answer=writer, limits=limits)
        view = memoryview(work())
        while view:
            view = view[write(writer, view) :]
        leave(0)
    finally:
        leave(1)
    raise AssertionError("a process goes on after its exit")


def _watch(
    child: int,
    reader: int,
    connection: socket.socket | None,
    deadline: float,
    cap: int,
    limits: Limits,
    mapped: int,
) -> tuple[Ending, bytes]:
    """Collect what the child writes until it ends or has too much of anything."""
    output = bytearray()
    process = os.pidfd_open(child)
    os.set_blocking(reader, False)
    watched = [process, reader, *([connection.fileno()] if connection else [])]
    # the worker's pages are shared
    resident = _usage(os.getpid())[1] + mapped + limits.memory_bytes
    look = 0.0
    try:
        while True:
            now = time.monotonic()
            ready, _, _ = select.select(watched, [], [], max(0.0, min(deadline - now, LOOK_S)))
            if connection and connection.fileno() in ready:  # silent during a job, so it left
                raise ChannelClosed("the parent is gone")
            if reader in ready and not _drain(reader, output, cap):
                watched.remove(reader)
            if len(output) > cap:
                return "flooded", bytes(output)
            if process in ready:
                _drain(reader, output, cap)  # what it wrote between the two calls
                return "ended", bytes(output)
            if time.monotonic() >= deadline:
                return "timed_out", b""
            if now >= look:
                look = now + LOOK_S
                threads, held = _usage(child)
                if held > resident:
                    return "swollen", b""
                if threads > MAX_THREADS + 4 * limits.threads:
                    return "crowded", b""
    finally:
        os.close(process)


def _usage(process: int) -> tuple[int, int]:
    """Return the threads of a process that was not waited for, and its bytes of resident memory.

    The kernel's own count: unlike names, numbers cannot be written by the process.
    """
    descriptor = os.open(f"/proc/{process}/stat", os.O_RDONLY)
    try:
        fields = os.pread(descriptor, 4096, 0).rpartition(b")")[2].split()
    finally:
        os.close(descriptor)
    return int(fields[_THREADS]), int(fields[_RESIDENT]) * resource.getpagesize()


def _drain(reader: int, output: bytearray, cap: int) -> bool:
    """Read what is there, to one byte above the cap; return False at end of file."""
    while len(output) <= cap:
        try:
            chunk = os.read(reader, min(1 << 20, cap + 1 - len(output)))
        except BlockingIOError:
            return True
        if not chunk:
            return False
        output += chunk
    return True


def _kill(child: int) -> None:
    """Kill the child and its whole session; a child that already ended keeps its exit code."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):  # no session yet, or nobody left in it
            kill(child, signal.SIGKILL)
