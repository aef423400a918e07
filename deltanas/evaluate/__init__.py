"""The jail and what runs in it: image data, the shape check, training, and executors.

Importing this room loads no torch: that happens in the zygote, another process.
"""

from deltanas.evaluate.executor import Executor, LocalExecutor, SickMachineError
from deltanas.evaluate.images.image_data import (
    DatasetError,
    ImageData,
    Split,
    blank_data,
    load_data,
)
from deltanas.evaluate.jail.tiers import JailError, Jailing, Tier, choose
from deltanas.evaluate.worker import ZygoteError

__all__ = [
    "DatasetError",
    "Executor",
    "ImageData",
    "JailError",
    "Jailing",
    "LocalExecutor",
    "SickMachineError",
    "Split",
    "Tier",
    "ZygoteError",
    "blank_data",
    "choose",
    "load_data",
]
