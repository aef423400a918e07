"""What evaluates networks, as the configuration says: image sets, and the executor over them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deltanas.config.schema import Config, ImageSetConfig
from deltanas.evaluate.executor import ExecutorPerSet, LocalExecutor
from deltanas.evaluate.images.image_data import ImageData, load_data
from deltanas.report.console import TaskProgress

if TYPE_CHECKING:
    from rich.console import Console


def open_images(one: ImageSetConfig, seed: int, console: Console) -> ImageData:
    """Return one image set, decoded where that was not done before. Raises DatasetError."""
    with TaskProgress(console) as progress:
        return load_data(
            one.name,
            seed=seed,
            image_size=one.image_size,
            root=Path(one.root) if one.root else None,
            progress=progress,
        )


def open_executor(config: Config, data: Mapping[str, ImageData]) -> ExecutorPerSet:
    """Return the executor of some image sets by name. Raises JailError where there is no jail."""
    limits = config.protocol

    def start(images: ImageData) -> LocalExecutor:
        return LocalExecutor(
            images,
            device=config.executor.device,
            workers=config.executor.workers,
            threads_per_worker=config.executor.threads,
            jail=config.executor.jail,
            timeout_s=limits.timeout_s,
            memory_gb=limits.memory_gb,
            max_parameters=limits.max_parameters,
            max_macs=limits.max_macs,
        )

    return ExecutorPerSet(data, start)
