"""One job, start to end, in the candidate's own process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from deltanas.evaluate.channel import HEADER_CAP, LENGTH, Limits, answer_rows, pack
from deltanas.evaluate.meta import measure
from deltanas.evaluate.network import Refusal, load_class
from deltanas.evaluate.train import train
from deltanas.evaluate.training_data import TrainingData
from deltanas.records import Job, Recipe, Verdict


def job_from_message(message: Mapping[str, Any]) -> Job:
    """Rebuild a job from `dataclasses.asdict` of it."""
    return Job(**{**message, "recipe": Recipe(**message["recipe"])})


def answer_cap(job: Job, data: TrainingData) -> int:
    """Return the bytes of the longest honest answer to a job."""
    rows = answer_rows(job.epochs, len(data.val_rows), len(data.test_rows))
    return LENGTH + HEADER_CAP + sum(rows) * data.num_classes * 2


def answer(job: Job, data: TrainingData, limits: Limits) -> bytes:
    """Check one network, or train it; return a frame.

    Its header holds the sizes of a network that was checked; raw logits follow where one trained.
    """
    torch.set_num_threads(limits.threads)
    header: dict[str, Any] = {"verdict": Verdict.TRAINED, "reason": ""}
    logits = b""
    try:
        network_class = load_class(job.code)
        if job.epochs:
            logits = train(network_class, job, data)
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
