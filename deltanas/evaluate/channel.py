"""What parent and zygote say to each other: capped frames of JSON, and arrays in sealed memory.

Nothing here is ever unpickled. Labels of the validation and test splits are in no message.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER_CAP = 64 * 1024  # bytes of JSON that a candidate's process may answer with
MESSAGE_CAP = 16 * 1024 * 1024  # bytes of JSON between parent and zygote; a job holds the source
LENGTH = 4  # bytes of a frame's length prefix, big endian
PROBE_CAP = 256  # validation images that are asked for twice
_ALIGN = 64  # bytes; where arrays start in shared memory

# the one thing that the process of a network that trained may say of it
PROBABILITIES = (
    "its answers are probabilities, each row adding up to 1; the loss takes logits, and learns"
    " little behind a softmax: leave it out of forward"
)
GREETING = b"+"  # what a worker says first


# flooded: it wrote more than it may; swollen: it held more memory; crowded: it ran more threads,
# or more of them at once
class Ending(StrEnum):
    """How a child came to its end."""

    ENDED = "ended"
    TIMED_OUT = "timed_out"
    FLOODED = "flooded"
    SWOLLEN = "swollen"
    CROWDED = "crowded"


class ChannelClosed(ConnectionError):
    """The other side closed the connection or answered too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one job may cost."""

    timeout_s: float  # wall time of one epoch, and of the check before the first
    memory_bytes: int  # beyond what the zygote itself uses: address space; on a GPU, private data
    threads: int
    max_parameters: int
    max_macs: int  # multiply-accumulates per image

    def for_epochs(self, epochs: int) -> Limits:
        """Return the limits of a job of so many epochs; a check without training gets one's."""
        return replace(self, timeout_s=self.timeout_s * max(1, epochs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a candidate's process, seen from outside it."""

    ending: Ending
    exit_code: int  # negative: the signal that killed it
    seconds: float  # wall time from fork to end
    cpu_seconds: float
    memory_bytes: int  # peak resident set, the pages shared with the zygote included
    output_bytes: int  # how many bytes of its answer follow this report


def probe_images(count: int) -> range:
    """Return which of so many validation images are answered once more, in other company.

    Every second one: a network that looks at one image at a time answers as before.
    """
    return range(0, count, 2)[:PROBE_CAP] if count >= 4 else range(0)


def answer_rows(epochs: int, val: int, test: int) -> tuple[int, int, int]:
    """Return the rows of logits that so many epochs end in: validation, test, probe."""
    probe = len(probe_images(val)) if epochs else 0
    return epochs * val, min(epochs, 2) * test, probe


def frame(message: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """Return one frame: length, JSON, and raw bytes that the JSON announces."""
    text = json.dumps(message, separators=(",", ":")).encode()
    return len(text).to_bytes(LENGTH, "big") + text + payload


def receive(connection: socket.socket, size: int, *, deadline: float | None = None) -> bytes:
    """Read exactly `size` bytes; `deadline` is in seconds of `time.monotonic`.

    Raises ChannelClosed at end of file or past the deadline.
    """
    data = bytearray()
    while len(data) < size:
        if deadline is not None:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            chunk = connection.recv(min(size - len(data), 1 << 20))
        except OSError as error:
            raise ChannelClosed(f"no answer: {error}") from error
        if not chunk:
            raise ChannelClosed("the other side is gone")
        data += chunk
    return bytes(data)


def receive_message(connection: socket.socket, *, deadline: float | None = None) -> dict[str, Any]:
    """Read one frame's JSON from a trusted side. Raises ChannelClosed like `receive`."""
    size = int.from_bytes(receive(connection, LENGTH, deadline=deadline), "big")
    if size > MESSAGE_CAP:
        raise ChannelClosed(f"a message of {size} bytes exceeds {MESSAGE_CAP}")
    message: dict[str, Any] = json.loads(receive(connection, size, deadline=deadline))
    return message


def share_arrays(arrays: Mapping[str, NDArray[Any]]) -> tuple[int, list[dict[str, Any]]]:
    """Copy arrays into one sealed memory file; return its descriptor and a layout to map it by.

    The seal holds for root too: no process can change what the next candidate sees.
    """
    layout: list[dict[str, Any]] = []
    descriptor = os.memfd_create("deltanas", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(descriptor), "wb") as memory:
        for name, array in arrays.items():
            memory.write(b"\0" * (-memory.tell() % _ALIGN))
            layout.append(
                {
                    "name": name,
                    "dtype": array.dtype.str,
                    "shape": list(array.shape),
                    "offset": memory.tell(),
                }
            )
            memory.write(np.ascontiguousarray(array).data)
    fcntl.fcntl(
        descriptor,
        fcntl.F_ADD_SEALS,
        fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL,
    )
    return descriptor, layout


def share_images(
    images: NDArray[np.uint8],
) -> tuple[int, list[dict[str, Any]]]:
    """Return what `share_arrays` does for images, which are not copied where a file holds them.

    That file is opened for reading; it is not sealed, so the jail must keep candidates from it.
    """
    if not isinstance(images, np.memmap):
        return share_arrays({"pixels": images})
    descriptor = os.open(str(images.filename), os.O_RDONLY | os.O_CLOEXEC)
    entry = {
        "name": "pixels",
        "dtype": images.dtype.str,
        "shape": list(images.shape),
        "offset": images.offset,
    }
    return descriptor, [entry]


def map_arrays(descriptor: int, layout: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """Return shared arrays, mapped copy-on-write: writes stay in this process."""
    memory = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    return {
        item["name"]: np.ndarray(item["shape"], item["dtype"], memory, item["offset"])
        for item in layout
    }
