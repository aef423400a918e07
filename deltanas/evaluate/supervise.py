"""One jailed child: fork it, watch it, end it, and say what became of it.

Runs in a worker process. The child's bytes are collected up to a cap and never looked at here;
they are gone before the next child is forked, which would find them in its memory.
"""

from __future__ import annotations

import mmap
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, NoReturn

from deltanas.evaluate.channel import ChannelClosed, Ending, Limits, Report
from deltanas.evaluate.jail.layers import Jail, enter_jail

LOOK_S = 0.05  # how often memory and threads are looked at
CUDA_BYTES = 4 * 2**30  # resident pages of CUDA's own libraries and context, an estimate
MAX_THREADS = 64  # of a child, besides four for each that it was given
MAX_AHEAD_S = 1.0  # of CPU time that a child may have taken before its threads' turn
_TICKS = os.sysconf("SC_CLK_TCK")  # of CPU time in a second
# fields of /proc/PID/stat after the name
_STATE, _USER, _SYSTEM, _THREADS, _RESIDENT = 0, 11, 12, 17, 21


class Usage(NamedTuple):
    """What the kernel counts of a process."""

    state: bytes  # a letter; Z: its first thread has ended
    cpu_seconds: float
    threads: int
    resident: int  # bytes
    tables: int  # bytes of the tables that map its pages


class Bounds:
    """What a child may hold, what it held, and how far ahead of its threads' turn it has run."""

    def __init__(self, held: int, threads: int, began: float) -> None:
        """Take the most bytes and threads that it may have; times are in seconds of one clock."""
        self._most_held = held
        self._threads = threads
        self._seen = began
        self._used = self._ahead = 0.0  # seconds of CPU time
        self.peak_resident = 0  # bytes, the most resident of all looks

    def excess(self, usage: Usage, now: float) -> Ending | None:
        """Return how the child has to end that uses so much; None if it may go on."""
        self.peak_resident = max(self.peak_resident, usage.resident)
        if usage.resident + usage.tables > self._most_held:
            return Ending.SWOLLEN
        due = self._threads * (now - self._seen)
        self._ahead = max(0.0, self._ahead + usage.cpu_seconds - self._used - due)
        self._seen, self._used = now, usage.cpu_seconds
        crowd = MAX_THREADS + 4 * self._threads
        return Ending.CROWDED if usage.threads > crowd or self._ahead > MAX_AHEAD_S else None


@contextmanager
def run_child(
    work: Callable[[], bytes],
    jail: Jail,
    limits: Limits,
    *,
    cap: int,
    mapped: int = 0,
    connection: socket.socket | None = None,
) -> Iterator[tuple[Report, memoryview]]:
    """Run `work` in a jailed fork; hand out what became of the process, and its raw answer.

    `cap` is the most bytes that it may answer with, `mapped` those of shared images, which count
    as its memory once it has read them. Raises ChannelClosed, the child being dead by
    then, when the parent leaves `connection`. The answer is unmapped at the end of the block.
    """
    began = time.monotonic()
    worker = os.getpid()
    bounds = _bounds(jail, limits, mapped, began)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(work, jail, limits, writer, worker)
    os.close(writer)
    with mmap.mmap(-1, cap + 1, flags=mmap.MAP_PRIVATE) as memory, memoryview(memory) as room:
        try:
            deadline = began + limits.timeout_s
            ending, size = _watch(child, reader, connection, deadline, room, bounds)
        finally:
            os.close(reader)
            _kill(child)
            _, status, usage = os.wait4(child, 0)
        report = Report(
            ending=ending,
            exit_code=os.waitstatus_to_exitcode(status),
            seconds=time.monotonic() - began,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            # a child on a GPU can reset the kernel's peak, by /proc/self/task/*/clear_refs
            memory_bytes=max(usage.ru_maxrss * 1024, bounds.peak_resident),
            output_bytes=size,
        )
        with room[:size] as output:
            yield report, output


def _bounds(jail: Jail, limits: Limits, mapped: int, began: float) -> Bounds:
    """Return what a child may hold besides the worker's pages, which it shares.

    CUDA has threads of its own, and memory.
    """
    held = _usage(os.getpid()).resident + mapped + limits.memory_bytes
    if jail.gpu is not None:
        held += CUDA_BYTES
    held += held // 256  # tables, twice what pages side by side need
    return Bounds(held, limits.threads + (jail.gpu is not None), began)


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
    room: memoryview,
    bounds: Bounds,
) -> tuple[Ending, int]:
    """Collect what the child writes until it ends or has too much of anything.

    Returns how many bytes of `room`, which has one more than it may write, are taken.
    """
    size = 0
    process = os.pidfd_open(child)
    os.set_blocking(reader, False)
    watched = [process, reader, *([connection.fileno()] if connection else [])]
    look = 0.0
    try:
        while True:
            now = time.monotonic()
            ready, _, _ = select.select(watched, [], [], max(0.0, min(deadline - now, LOOK_S)))
            if connection and connection.fileno() in ready:  # silent during a job, so it left
                raise ChannelClosed("the parent is gone")
            if reader in ready:
                size, more = _drain(reader, room, size)
                if not more:
                    watched.remove(reader)
            if size == len(room):
                return Ending.FLOODED, size
            if process in ready:
                size, _ = _drain(reader, room, size)  # what it wrote between the two calls
                return Ending.ENDED, size
            if time.monotonic() >= deadline:
                return Ending.TIMED_OUT, 0
            if now >= look:
                look = now + LOOK_S
                usage = _usage(child)
                if usage.state == b"Z":  # its first thread left, so memory is not counted
                    size, _ = _drain(reader, room, size)
                    return Ending.ENDED, size
                excess = bounds.excess(usage, time.monotonic())
                if excess:
                    return excess, 0
    finally:
        os.close(process)


def _usage(process: int) -> Usage:
    """Return what a process that was not waited for holds now.

    The kernel's own count: unlike names, numbers cannot be written by the process.
    """
    fields = _read(f"/proc/{process}/stat").rpartition(b")")[2].split()
    tables = _read(f"/proc/{process}/status").partition(b"\nVmPTE:")[2].split(None, 1)
    return Usage(
        state=fields[_STATE],
        cpu_seconds=(int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS,
        threads=int(fields[_THREADS]),
        resident=int(fields[_RESIDENT]) * resource.getpagesize(),
        tables=int(tables[0]) * 1024 if tables else 0,  # none of a process that has ended
    )


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, 2**16, 0)
    finally:
        os.close(descriptor)


def _drain(reader: int, room: memoryview, size: int) -> tuple[int, bool]:
    """Read what is there, as far as there is room; return the bytes in all, and if more may come.

    Nothing is read into memory that is used again.
    """
    while size < len(room):
        try:
            count = os.readv(reader, [room[size:]])
        except BlockingIOError:
            return size, True
        if not count:
            return size, False
        size += count
    return size, True


def _kill(child: int) -> None:
    """Kill the child and its whole session; a child that already ended keeps its exit code."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):  # no session yet, or nobody left in it
            kill(child, signal.SIGKILL)
