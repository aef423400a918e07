"""Canaries outside the jail: what an attack that gets out would have to touch."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import deltanas.evaluate
from tests.evaluate.processes import command_line, parents

KEY = "DELTANAS_CANARY"
SECRET = "canary-7f3a91"
_SHARED_MEMORY = Path("/dev/shm")


class Canaries:
    """Files, listeners, a process, the environment and a piece of this process's memory."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="deltanas-canaries-")
        self.folder = Path(self._temporary.name)
        self.folder.chmod(0o777)  # only the jail shall keep candidates out
        self.secret = self.folder / "secret"
        self.library = self.folder / "library.so"
        self.reset()
        os.environ[KEY] = SECRET
        self.memory = ctypes.create_string_buffer(b"original")
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.unix.bind(str(self.folder / "socket"))
        (self.folder / "socket").chmod(0o777)
        self.abstract = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.abstract.bind(f"\0deltanas-canary-{os.getpid()}")
        for listener in self._listeners():
            listener.setblocking(False)
        self.victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        self._before = self._state()

    def describe(self) -> dict[str, Any]:
        """Return where the canaries are: all that an attack could wish to know."""
        return {
            "folder": str(self.folder),
            "secret": str(self.secret),
            "labels": str(Path(deltanas.evaluate.__file__).parent / "images" / "digits.npz"),
            "parent": os.getpid(),
            "address": ctypes.addressof(self.memory),
            "victim": self.victim.pid,
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "abstract": f"\0deltanas-canary-{os.getpid()}",
            "unix": str(self.folder / "socket"),
        }

    def reset(self) -> None:
        """Put the files back."""
        for found in self.folder.iterdir():
            if found.name != "socket":
                found.rmdir() if found.is_dir() else found.unlink()
        self.secret.write_text(SECRET)
        self.secret.chmod(0o644)
        self.library.write_bytes(b"\x7fELF")

    def traces(self, reason: str = "") -> list[str]:
        """Return what changed since the start, one phrase for each thing; then forget it."""
        found = ["the secret was told"] if SECRET in reason else []
        for listener in self._listeners():
            with suppress(BlockingIOError):
                while True:  # the code of an attack runs more than once
                    connection = listener.accept()[0] if listener is self.tcp else None
                    heard = connection.close() if connection else listener.recv(64)
                    found.append(f"{listener.getsockname()!r} heard {heard!r}")
        now = self._state()
        found += [
            f"{key}: {self._before[key]} became {now[key]}"
            for key in now
            if now[key] != self._before[key]
        ]
        if any("file" in phrase for phrase in found):
            self.reset()
            self._before = self._state()
        return found

    def close(self) -> None:
        """End the process and the listeners, and remove the files."""
        self.victim.kill()
        self.victim.wait()
        for listener in self._listeners():
            listener.close()
        os.environ.pop(KEY, None)
        self._temporary.cleanup()

    def _listeners(self) -> list[socket.socket]:
        return [self.tcp, self.udp, self.unix, self.abstract]

    def _state(self) -> dict[str, Any]:
        status = self.secret.lstat() if self.secret.exists() else None
        victim, ended = self.victim.pid, self.victim.poll()
        return {
            "files": sorted(path.name for path in self.folder.iterdir()),
            "file": status and (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime),
            "file contents": status and self.secret.read_text(),
            "file attributes": status and os.listxattr(self.secret),
            "environment": os.environ.get(KEY),
            "memory": self.memory.value,
            "victim": (ended, None if ended else os.getpriority(os.PRIO_PROCESS, victim)),
            "victim's cores": None if ended else sorted(os.sched_getaffinity(victim)),
            "shared memory": sorted(path.name for path in _SHARED_MEMORY.glob("deltanas*")),
            "orphans": orphans(),
        }


def orphans() -> list[int]:
    """Return the jailed processes that have lost their worker."""
    return sorted(
        process
        for process, parent in parents().items()
        if parent == 1
        and b"deltanas.evaluate.zygote" in command_line(process)
        and "Seccomp:\t2" in Path(f"/proc/{process}/status").read_text()
    )
