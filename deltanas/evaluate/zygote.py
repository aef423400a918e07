"""The warm process that candidates are forked from: no keys, no held-out labels.

The parent starts one zygote as a fresh interpreter. It imports torch and Lightning, trains one
tiny network so that nothing is left to import, and then forks one worker per connection that the
parent sends. A worker forks one child per job (`supervise`) and passes its bytes on unread.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import logging
import os
import signal
import socket
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, NoReturn

import torch

from deltanas.evaluate.channel import (
    GREETING,
    ChannelClosed,
    Limits,
    frame,
    map_arrays,
    receive,
    receive_message,
)
from deltanas.evaluate.inside.child import answer, answer_cap, job_from_message
from deltanas.evaluate.inside.tiny import TINY, TINY_RECIPE
from deltanas.evaluate.inside.training_data import TrainingData
from deltanas.evaluate.jail import huge_pages
from deltanas.evaluate.jail.layers import Jail, prepare
from deltanas.evaluate.jail.selftest import holes
from deltanas.evaluate.jail.tiers import JailError, Tier
from deltanas.evaluate.supervise import run_child
from deltanas.records import Job

TRIAL_S = 300.0  # wall time of a trial in the jail, which takes a moment; busy machines are slow
_TRAINING = Job(job_id="warm-up", code=TINY, recipe=replace(TINY_RECIPE, batch=4))
_CHECK = replace(_TRAINING, epochs=0, trace=True)
_IMPORTS = (  # of 10,482 LEMUR networks, besides torch itself, numpy and the standard library
    "torchvision",
    "torchvision.models",
    "torchvision.ops",
    "torchvision.transforms",
    "einops",
)


def main() -> None:
    """Warm up, then fork a worker for every connection until the parent leaves.

    Arguments: descriptor of the control socket, descriptors of the files with shared arrays.
    """
    control = socket.socket(fileno=int(sys.argv[1]))
    boot = receive_message(control)
    limits = Limits(**boot["limits"])
    data = _training_data([int(argument) for argument in sys.argv[2:]], boot)
    jail = _warm_up(data, limits, Tier(boot["tier"]), boot["gpu"])
    control.sendall(frame({"ready": True}))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps workers
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return
        connection = socket.socket(fileno=descriptors[0])
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _work(connection, data, limits, jail)
        connection.close()


def _training_data(descriptors: list[int], boot: dict[str, Any]) -> TrainingData:
    arrays: dict[str, Any] = {}
    for descriptor, layout in zip(descriptors, boot["layouts"], strict=True):
        mapped = map_arrays(descriptor, layout)
        arrays |= {name: torch.from_numpy(array) for name, array in mapped.items()}
        os.close(descriptor)
    return TrainingData(
        **arrays,
        mean=torch.tensor(boot["mean"])[:, None, None],
        std=torch.tensor(boot["std"])[:, None, None],
        num_classes=boot["num_classes"],
    )


def rehearse(few: TrainingData, limits: Limits, *, gpu: bool) -> None:
    """Take the path of a job in this process, so that no child has to import anything.

    For a GPU nothing is trained: a backward pass looks for devices, which starts CUDA, and what
    it finds is what every fork finds.
    """
    for job in (_CHECK,) if gpu else (_CHECK, _TRAINING):
        answer(job, few, replace(limits, threads=1))  # a pool of threads would not survive forks


def _warm_up(
    data: TrainingData, limits: Limits, tier: Tier, gpu: Mapping[str, str] | None
) -> Jail:
    """Take the path of a job twice: here, then in the jail."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    few = replace(
        data,
        train_rows=data.train_rows[:8],
        train_labels=data.train_labels[:8],
        val_rows=data.val_rows[:8],
        test_rows=data.test_rows[:8],
    )
    lenient = replace(limits, timeout_s=TRIAL_S, max_parameters=2**62, max_macs=2**62)
    rehearse(few, lenient, gpu=gpu is not None)
    if tier is Tier.NOOPEN:
        _import_ahead()
    os.environ.clear()  # what it was for is read; so every child finds it empty already
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, shared pages
    huge_pages.collapse()
    try:
        jail = prepare(tier, gpu=gpu is not None)
    except JailError as error:
        sys.exit(str(error))
    with run_child(lambda: json.dumps(holes(jail)).encode(), jail, lenient, cap=4096) as (
        report,
        output,
    ):
        found = bytes(output).decode()
        if report.exit_code or found != "[]":
            sys.exit(f"the jail {tier} does not hold: {report}, from inside: {found}")
    for each in (_CHECK, _TRAINING):
        work = functools.partial(answer, each, few, lenient, gpu)
        with run_child(work, jail, lenient, cap=answer_cap(each, few, lenient)) as (
            report,
            output,
        ):
            said = bytes(output[:400])
            if report.exit_code or b'"verdict":"trained"' not in said[:80]:
                sys.exit(f"a jailed trial network did not train: {report}, it said {said!r}")
    return jail


def _import_ahead() -> None:
    """Import what networks import, where candidates can open no file."""
    for name in _IMPORTS:
        with suppress(ImportError):
            importlib.import_module(name)


def _work(connection: socket.socket, data: TrainingData, limits: Limits, jail: Jail) -> NoReturn:
    """Run one job after another until the parent leaves."""
    try:
        connection.sendall(GREETING)
        gpu = receive_message(connection)["gpu"]
        while True:
            message = receive_message(connection)
            weights = receive(connection, message["weights"])
            job = job_from_message(message | {"weights": weights})
            own = limits.for_epochs(job.epochs)
            with run_child(
                functools.partial(answer, job, data, own, gpu),
                jail,
                own,
                cap=answer_cap(job, data, limits),
                mapped=data.pixels.nbytes,
                connection=connection,
            ) as (report, output):
                connection.sendall(frame(asdict(report)))
                connection.sendall(output)
            del report, output, job, weights  # the next child finds nothing of what this one left
    except (ChannelClosed, BrokenPipeError, ConnectionResetError):
        os._exit(0)


if __name__ == "__main__":
    main()
