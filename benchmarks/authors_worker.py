"""The authors' trainer as a process: one JSON task a line in, `SECONDS wall cpu` a line out.

Started by authors_trainer.py, with nn-dataset 2.1.2 on the path. Their database is an
empty file, or it would be filled at import: `save_to_db=False` does not ask it for anything.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from contextlib import suppress

import torch
import torchvision
from ab.nn import api
from ab.nn.util import CodeEval
from ab.nn.util.Exception import AccuracyException

original = torchvision.datasets.CIFAR10
shown = {True: 0, False: 0}  # training and test images of the task
lint = CodeEval.run_pylint


class CIFAR10(original):
    """Their class reads every file, as always, and then shows the first images only."""

    train_list = [[name, None] for name, _ in original.train_list]
    test_list = [[name, None] for name, _ in original.test_list]
    meta = {**original.meta, "md5": None}

    def __len__(self) -> int:
        return shown[self.train]


def main() -> None:
    torchvision.datasets.CIFAR10 = CIFAR10
    torch.set_num_threads(1)
    for line in sys.stdin:
        task = json.loads(line)
        shown.update({True: task["train"], False: task["test"]})
        CodeEval.run_pylint = lint if task["lint"] else lambda path: []
        began, spent = time.perf_counter(), sum(os.times()[:4])
        with suppress(AccuracyException):  # raised at the end of a training on few images
            api.check_nn(
                task["code"],
                "img-classification",
                "cifar-10",
                "acc",
                task["prm"],
                save_to_db=False,
                epoch_limit_minutes=600,
            )
        gc.collect()  # loader processes count once they have ended
        wall, cpu = time.perf_counter() - began, sum(os.times()[:4]) - spent
        print(f"\nSECONDS {wall} {cpu}", flush=True)


if __name__ == "__main__":
    main()
