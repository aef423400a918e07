"""One job in one jailed child: fork it, watch it, end it, and say what became of it.

Runs in a worker process. The child's bytes are collected up to a cap and never looked at here.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from typing import Literal, NoReturn

from deltanas.evaluate.channel import HEADER_CAP, LENGTH, ChannelClosed, Limits, Report
from deltanas.evaluate.child import answer
from deltanas.evaluate.jail import enter_jail
from deltanas.evaluate.train import TrainingData
from deltanas.records import Job


def run_job(
    job: Job,
    data: TrainingData,
    limits: Limits,
    *,
    base_memory: int,
    connection: socket.socket | None = None,
) -> tuple[Report, bytes]:
    """Run one job in a fork; return what became of the process, and its raw answer.

    Raises ChannelClosed, the child being dead by then, when the parent leaves `connection`.
    """
    limits = limits.for_epochs(job.epochs)
    began = time.monotonic()
    worker = os.getpid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(job, data, limits, writer, worker, base_memory)
    os.close(writer)
    try:
        ending, output = _watch(
            child, reader, connection, began + limits.timeout_s, _answer_cap(job, data)
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
    job: Job, data: TrainingData, limits: Limits, writer: int, worker: int, base_memory: int
) -> NoReturn:
    try:
        enter_jail(parent=worker, answer=writer, limits=limits, base_memory=base_memory)
        view = memoryview(answer(job, data, limits))
        while view:
            view = view[os.write(writer, view) :]
        os._exit(0)
    finally:
        os._exit(1)


def _answer_cap(job: Job, data: TrainingData) -> int:
    """Return the bytes of the longest honest answer to a job."""
    rows = job.epochs * len(data.val_rows) + min(job.epochs, 2) * len(data.test_rows)
    return LENGTH + HEADER_CAP + rows * data.num_classes * 2


def _watch(
    child: int, reader: int, connection: socket.socket | None, deadline: float, cap: int
) -> tuple[Literal["ended", "timed_out", "flooded"], bytes]:
    """Collect what the child writes until it ends, writes too much or runs out of time."""
    output = bytearray()
    process = os.pidfd_open(child)
    os.set_blocking(reader, False)
    watched = [process, reader, *([connection.fileno()] if connection else [])]
    try:
        while True:
            left = deadline - time.monotonic()
            ready, _, _ = select.select(watched, [], [], max(0.0, left))
            if connection and connection.fileno() in ready:  # silent during a job, so it left
                raise ChannelClosed("the parent is gone")
            if reader in ready and not _drain(reader, output, cap):
                watched.remove(reader)
            if len(output) > cap:
                return "flooded", bytes(output)
            if process in ready:
                _drain(reader, output, cap)  # what it wrote between the two calls
                return "ended", bytes(output)
            if not ready:
                return "timed_out", b""
    finally:
        os.close(process)


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
        try:
            kill(child, signal.SIGKILL)
        except ProcessLookupError:  # no session yet, or nobody left in it
            continue
