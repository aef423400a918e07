"""What a zygote rehearses before it forks, for a GPU and for the CPU; a mark before each."""

from __future__ import annotations

import os

import torch

from deltanas.evaluate.channel import Limits
from deltanas.evaluate.images.image_data import blank_data
from deltanas.evaluate.inside.training_data import TrainingData
from deltanas.evaluate.zygote import rehearse


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
    for gpu in (True, False):
        os.write(2, b"MARK")
        rehearse(data, limits, gpu=gpu)


if __name__ == "__main__":
    main()
