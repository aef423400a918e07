"""The parent's side of the zygote: starts it, and asks it for workers."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import deltanas
from deltanas.evaluate.channel import (
    GREETING,
    Limits,
    frame,
    receive,
    receive_message,
    share_arrays,
    share_images,
)
from deltanas.evaluate.images.image_data import ImageData
from deltanas.evaluate.jail.tiers import Tier
from deltanas.records import UserError

START_S = 900.0  # a cold disk or a busy machine reads torch and Lightning for minutes


class ZygoteError(UserError):
    """The warm process cannot be had; the message holds the end of what it wrote."""


class Zygote:
    """The warm process. It starts at once and warms up while the caller goes on.

    Handed over: all images, which are whose, training labels. Other labels stay here.
    """

    def __init__(
        self,
        data: ImageData,
        limits: Limits,
        tier: Tier,
        gpus: Sequence[Mapping[str, str]] = (),  # of each, what CUDA needs to see it alone
    ) -> None:
        self._threads = limits.threads
        # the next worker gets the next one, after a fault too; on the CPU, none
        self._gpus = itertools.cycle(gpus or [None])
        # where some hosts keep those of the driver
        self._libraries = {
            name: value for name, value in os.environ.items() if gpus and name == "LD_LIBRARY_PATH"
        }
        self._lock = threading.Lock()
        self._closed = False
        pixels, pixels_layout = share_images(data.pixels)
        rows, rows_layout = share_arrays(
            {
                "train_rows": data.train_rows,
                "train_labels": data.train_labels,
                "val_rows": data.val_rows,
                "test_rows": data.test_rows,
            }
        )
        self._shared = (pixels, rows)
        mean, std = data.channel_statistics()
        self._boot = frame(
            {
                "layouts": [pixels_layout, rows_layout],
                "tier": tier,
                "gpu": gpus[0] if gpus else None,
                "limits": asdict(limits),
                "num_classes": data.num_classes,
                "mean": mean,
                "std": std,
            }
        )
        self._start()

    def open_worker(self) -> socket.socket:
        """Return a connection to a new worker; a zygote that died is started again, once.

        Raises ZygoteError.
        """
        with self._lock:
            try:
                return self._ask()
            except OSError:
                if not self._closed:
                    self._stop()
                    self._start()
            try:
                return self._ask()
            except OSError as error:
                if self._closed:
                    raise ZygoteError("the executor is closed") from error
                said = os.pread(self._log, 1 << 20, 0)[-2000:].decode(errors="replace").strip()
                raise ZygoteError(f"no zygote: {error}; it wrote: {said or 'nothing'}") from error

    def close(self) -> None:
        """Kill the zygote, its workers and their children; what waits for them ends at once."""
        self._closed = True
        self._kill()
        with self._lock:
            self._stop()
            for descriptor in self._shared:
                os.close(descriptor)

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        self._log = os.memfd_create("deltanas-zygote-log", os.MFD_CLOEXEC)
        self._ready = False
        descriptors = (theirs.fileno(), *self._shared)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "deltanas.evaluate.zygote", *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=environment(self._threads) | self._libraries,
                start_new_session=True,
            )
        with suppress(BrokenPipeError):  # it died already; `_ask` finds out
            self._control.sendall(self._boot)

    def _ask(self) -> socket.socket:
        if not self._ready:
            receive_message(self._control, deadline=time.monotonic() + START_S)
            self._ready = True
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        try:  # a zygote that was just killed still takes requests, but nobody answers
            receive(ours, len(GREETING), deadline=time.monotonic() + START_S)
            ours.sendall(frame({"gpu": next(self._gpus)}))
        except OSError:
            ours.close()
            raise
        return ours

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its workers share the group

    def _stop(self) -> None:
        self._kill()
        self._process.wait()
        self._control.close()
        os.close(self._log)


def environment(threads: int) -> dict[str, str]:
    """Return all that the zygote may know of its surroundings: no keys, no PATH, no home."""
    here = str(Path(deltanas.__file__).parents[1])
    inherited = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": os.pathsep.join([here, inherited] if inherited else [here]),
        "PYTHONHASHSEED": "0",  # sets iterate alike in every run
        "CUDA_VISIBLE_DEVICES": "",  # a child that may use a GPU is told which
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # an import that looks for GPUs starts no CUDA
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin starve their neighbours
        "MALLOC_MMAP_THRESHOLD_": "4000000000",  # large activations are reused, not mapped anew
        "MALLOC_TRIM_THRESHOLD_": "8000000000",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # the zygote's heap grows in huge pages
    }
