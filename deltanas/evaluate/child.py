"""One job, start to end, in the candidate's own process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from deltanas.evaluate.channel import HEADER_CAP, LENGTH, Limits, answer_rows, pack
from deltanas.evaluate.gpu import Gpu
from deltanas.evaluate.meta import measure
from deltanas.evaluate.network import Refusal, load_class
from deltanas.evaluate.train import train
from deltanas.evaluate.training_data import TrainingData
from deltanas.records import Job, Recipe, Verdict


def job_from_message(message: Mapping[str, Any]) -> Job:
    """Rebuild a job from `dataclasses.asdict` of it."""
    return Job(**{**message, "recipe": Recipe(**message["recipe"])})


def gpu_from_message(message: Mapping[str, Any] | None) -> Gpu | None:
    """Rebuild what a lane has of a GPU, or nothing."""
    return Gpu(**message) if message else None


def answer_cap(job: Job, data: TrainingData) -> int:
    """Return the bytes of the longest honest answer to a job."""
    rows = answer_rows(job.epochs, len(data.val_rows), len(data.test_rows))
    return LENGTH + HEADER_CAP + sum(rows) * data.num_classes * 2


def answer(job: Job, data: TrainingData, limits: Limits, gpu: Gpu | None = None) -> bytes:
    """Check one network, or train it; return a frame.

    Its header holds the sizes of a network that was checked; raw logits follow where one trained.
    A check needs no GPU.
    """
    torch.set_num_threads(limits.threads)
    device = _start(gpu) if gpu and job.epochs else torch.device("cpu")
    header: dict[str, Any] = {"verdict": Verdict.TRAINED, "reason": ""}
    logits = b""
    try:
        network_class = load_class(job.code)
        if job.epochs:
            logits = train(network_class, job, data, device)
        else:
            header["parameters"], header["macs"] = measure(
                network_class,
                job.recipe,
                channels=data.channels,
                num_classes=data.num_classes,
                limits=limits,
            )
    except Refusal as refusal:
        header.update(verdict=refusal.verdict, reason=refusal.reason)
    return pack(header, logits)


def _start(gpu: Gpu) -> torch.device:
    """Make one GPU this process's own; the same job has the same result where CUDA allows it."""
    os.environ.update(CUDA_VISIBLE_DEVICES=gpu.name, CUBLAS_WORKSPACE_CONFIG=":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.cuda.set_per_process_memory_fraction(gpu.share, 0)
    return torch.device("cuda", 0)
