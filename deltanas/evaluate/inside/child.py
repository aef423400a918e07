"""One job, start to end, in the candidate's own process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from deltanas.evaluate.channel import HEADER_CAP, LENGTH, Limits, answer_rows, frame
from deltanas.evaluate.inside.network import Refusal, blame, load_class
from deltanas.evaluate.inside.shape_check import measure
from deltanas.evaluate.inside.train import train
from deltanas.evaluate.inside.training_data import TrainingData
from deltanas.evaluate.weights import weights_cap
from deltanas.records import Job, Loop, Precision, Recipe, Scaling, Verdict


def job_from_message(message: Mapping[str, Any]) -> Job:
    """Rebuild a job from `dataclasses.asdict` of it."""
    recipe = {**message["recipe"], "scaling": Scaling(message["recipe"]["scaling"])}
    enums = {"loop": Loop(message["loop"]), "precision": Precision(message["precision"])}
    return Job(**{**message, **enums, "recipe": Recipe(**recipe)})


def answer_cap(job: Job, data: TrainingData, limits: Limits) -> int:
    """Return the bytes of the longest honest answer to a job."""
    rows = answer_rows(job.epochs, len(data.val_rows), len(data.test_rows))
    weights = weights_cap(limits.max_parameters) if job.keep_weights else 0
    return LENGTH + HEADER_CAP + sum(rows) * data.num_classes * 2 + weights


def answer(
    job: Job, data: TrainingData, limits: Limits, gpu: Mapping[str, str] | None = None
) -> bytes:
    """Check one network, or train it; return a frame.

    Its header holds the sizes of a network that was checked; raw logits follow where one trained,
    and its weights where they are asked for. That is on the GPU that CUDA sees in the environment
    `gpu`, if any.
    """
    torch.set_num_threads(limits.threads)
    header: dict[str, Any] = {"verdict": Verdict.TRAINED, "reason": ""}
    logits = b""
    device = torch.device("cpu")
    try:
        if gpu and job.epochs:
            with blame(Verdict.OUT_OF_MEMORY, "CUDA does not start"):  # so a canary has to tell
                device = _start_cuda(gpu, limits.memory_bytes + data.pixels.nbytes)
        network_class = load_class(job.code)
        if job.epochs:
            logits, header["reason"] = train(network_class, job, data, device)
        else:
            found = measure(
                network_class,
                job.recipe,
                channels=data.channels,
                num_classes=data.num_classes,
                limits=limits,
                trace=job.trace,
            )
            header |= found._asdict()
    except Refusal as refusal:
        header.update(verdict=refusal.verdict, reason=refusal.reason)
    return frame(header, logits)


def _start_cuda(gpu: Mapping[str, str], memory_bytes: int) -> torch.device:
    """Start CUDA in this process, with one GPU and so much of its memory as a job may have.

    Raises RuntimeError where less memory is free.
    """
    os.environ.update(gpu, CUBLAS_WORKSPACE_CONFIG=":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = torch.device("cuda", 0)
    free, total = torch.cuda.mem_get_info(device)
    if free < memory_bytes:
        raise RuntimeError(
            f"GPU {gpu['CUDA_VISIBLE_DEVICES']} has {free / 2**30:.1f} GiB free; a candidate needs"
            f" {memory_bytes / 2**30:.1f}, protocol.memory_gb and the images; lower it, or"
            " executor.workers"
        )
    torch.cuda.set_per_process_memory_fraction(memory_bytes / total, device)
    return device
