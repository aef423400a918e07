"""What the zygote does for a GPU before it forks, then what it leaves out; marks between them."""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from deltanas.evaluate.channel import Limits
from deltanas.evaluate.child import answer
from deltanas.evaluate.data import blank_data
from deltanas.evaluate.tiny import TINY, TINY_RECIPE
from deltanas.evaluate.training_data import TrainingData
from deltanas.records import Job


def main() -> None:
    blank = blank_data(image_size=8, channels=1, num_classes=2)
    data = TrainingData(
        pixels=torch.from_numpy(blank.pixels),
        train_rows=torch.from_numpy(blank.train_rows),
        train_labels=torch.from_numpy(blank.train_labels),
        val_rows=torch.from_numpy(blank.val_rows),
        test_rows=torch.from_numpy(blank.test_rows),
        mean=torch.zeros(1, 1, 1),
        std=torch.ones(1, 1, 1),
        num_classes=2,
    )
    limits = Limits(
        timeout_s=60, memory_bytes=2**30, threads=1, max_parameters=10**6, max_macs=10**6
    )
    job = Job(job_id="first", code=TINY, recipe=replace(TINY_RECIPE, batch=2))
    for epochs in (0, 1):
        os.write(2, b"MARK")
        assert b'"verdict":"trained"' in answer(replace(job, epochs=epochs), data, limits)


if __name__ == "__main__":
    main()
