"""A program of its own: enters one layer, alone, and tells as JSON what each attempt came to.

Arguments: the layer, a folder with canaries, and the port and name of two listeners.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from deltanas.evaluate.channel import Limits
from deltanas.evaluate.jail import landlock, privileges, seccomp
from deltanas.evaluate.jail.layers import address_space, keep_only, limit_resources
from deltanas.evaluate.jail.syscalls import PR_SET_NO_NEW_PRIVS, call, prctl, this_machine
from tests.hostile.numbers import NUMBERS

LIMITS = Limits(timeout_s=1, memory_bytes=2**28, threads=1, max_parameters=1, max_macs=1)
FOLDER = Path(sys.argv[2])
SECRET = FOLDER / "secret"
PORT, ABSTRACT = int(sys.argv[3]), "\0" + sys.argv[4]
NOTHING = Path(os.devnull).stat().st_rdev
OUT = os.dup(1)  # for the answer
SPARE = os.open(os.devnull, os.O_RDONLY)
NUMBER = NUMBERS[os.uname().machine]


def enter_landlock() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    landlock.enter(landlock.build({Path("/usr/lib"): landlock.READ}))


def enter_seccomp(*, opens: bool = True) -> None:
    machine = this_machine()
    assert machine is not None
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install(seccomp.for_process(seccomp.build(machine, opens=opens), os.getpid()))


LAYERS: dict[str, Callable[[], object]] = {
    "none": lambda: None,
    "landlock": enter_landlock,
    "seccomp": enter_seccomp,
    "noopen": lambda: enter_seccomp(opens=False),
    "identity": lambda: privileges.drop(privileges.plain_id()),
    "identity_reading": lambda: privileges.drop(privileges.plain_id(), kept=privileges.reading()),
    "limits": lambda: limit_resources(LIMITS, address_space()),
    "limits_gpu": lambda: limit_resources(LIMITS, address_space(), gpu=True),
    "descriptors": lambda: keep_only({OUT}),
}


def write() -> None:
    target = FOLDER / f"written-{os.getpid()}"
    target.write_text("x")
    target.unlink()


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def thread() -> None:
    one = threading.Thread(target=lambda: None)
    one.start()
    one.join()


def abstract() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ABSTRACT)


def set_owner() -> None:
    import fcntl

    reader, _ = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETOWN, os.getpid())


def raise_limit() -> None:
    privileges.drop(None)  # one of them lets root raise any
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (1, 1))


def huge_pages() -> None:
    if ctypes.CDLL(None).prctl(42, *[ctypes.c_ulong(0)] * 4):  # PR_GET_THP_DISABLE
        raise OSError


ATTEMPTS: dict[str, Callable[[], object]] = {
    "spare_descriptor": lambda: os.fstat(SPARE),
    "read": SECRET.read_text,
    "read_library": lambda: next(Path("/usr/lib").glob("os-release")).read_text(),
    "stat": SECRET.stat,
    "list": lambda: os.listdir("/"),  # noqa: PTH208
    "write": write,
    "chmod": lambda: SECRET.chmod(0o644),
    "tcp": lambda: socket.create_connection(("127.0.0.1", PORT)).close(),
    "abstract": abstract,
    "signal_parent": lambda: os.kill(os.getppid(), 0),
    "signal_itself": lambda: os.kill(os.getpid(), 0),
    "fork": fork,
    "thread": thread,
    "exec": lambda: call(NUMBER["execve"], b"/no/such/program", None, None),
    "ptrace": lambda: call(NUMBER["ptrace"], 7, os.getppid(), 0, 0),  # continue: not traced
    "memory_file": lambda: os.close(os.memfd_create("x")),
    "descriptor_owner": set_owner,
    "memory": lambda: bytearray(2**29),
    "shared_memory": lambda: __import__("mmap").mmap(-1, 2**29).close(),
    "huge_pages": huge_pages,
    "many_files": lambda: [os.close(each) for each in [os.dup(1) for _ in range(300)]],
    "standard_output": lambda: os.ttyname(1) if os.fstat(1).st_rdev == NOTHING else None,
    "become_root": lambda: os.setuid(0),
    "reserve": lambda: _reserve(2**36),
    "raise_limit": raise_limit,  # last, as it drops capabilities
}


def _reserve(size: int) -> None:
    """Reserve address space without memory, as CUDA does."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_long
    if libc.mmap(None, ctypes.c_size_t(size), 0, 0x22, -1, 0) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    "warm".encode("idna")  # a plain user may not reach the interpreter any more
    LAYERS[sys.argv[1]]()
    found = {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
            found[name] = "done"
        except (OSError, MemoryError, ValueError, RuntimeError) as error:
            found[name] = type(error).__name__
    os.write(OUT, json.dumps(found).encode())


if __name__ == "__main__":
    main()
