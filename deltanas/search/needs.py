"""What the configured LLM needs of this machine, asked before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from deltanas.config.choices import Objective
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config
from deltanas.llm.loading import check_quantization
from deltanas.llm.machine import (
    free_disk,
    free_memory,
    hub_cache,
    missing_download,
    read_sizes,
)
from deltanas.llm.requirements import GB, GIB, Needs, Task, estimate

WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}  # bytes of a weight


def llm_needs(config: Config, directory: Path) -> str:
    """Return one line that says what the run needs of this machine for its LLM.

    Reads the LLM's configuration only. Raises ConfigError with the figures where free memory or
    free disk is less, or where the LLM has fewer positions than `llm.context`; LLMError where it
    cannot be used as configured or is not found.
    """
    llm = config.llm
    check_quantization(llm.quantization, llm.device)
    sizes = read_sizes(llm.model, llm.lora_targets if config.lora.enabled else ())
    if sizes.positions is not None and llm.context > sizes.positions:
        raise ConfigError(
            f"llm.context={llm.context} is more than the {sizes.positions} positions of"
            f" {llm.model}; it must be at most that"
        )
    place, free = free_memory(llm.device)
    needs = estimate(sizes, _task(config))
    download = missing_download(llm.model, sizes.parameters * WIDTHS[llm.dtype])
    line = f"llm={llm.name} needs {needs.text(place, download)}"
    short = [
        *_memory_shortage(needs, free, place),
        *_disk_shortage(download, needs.adapters_on_disk, directory),
    ]
    if short:
        raise ConfigError("\n".join([line, *short]))
    return line


def _task(config: Config) -> Task:
    llm, lora = config.llm, config.lora
    return Task(
        width=WIDTHS[llm.dtype],
        packed=llm.quantization != "none",
        batch=min(llm.batch, config.protocol.candidates),
        context=llm.context,
        max_new_tokens=config.new_tokens(),
        cycles=config.protocol.cycles,
        rank=lora.r if lora.enabled else 0,
        tune_batch=max(lora.batch, 2) if config.tune.objective is Objective.dpo else lora.batch,
        checkpointing=llm.checkpointing,
    )


def _memory_shortage(needs: Needs, free: int | None, place: str) -> list[str]:
    if free is None or free >= needs.memory:
        return []
    packing = ", or set llm.quantization=nf4" if place == "GPU" else ""
    return [
        f"{free / GIB:.1f} GiB of {place} memory are free, {needs.memory / GIB:.1f} are needed;"
        f" lower llm.batch, llm.context or lora.batch{packing}"
    ]


def _disk_shortage(download: int, adapters: int, directory: Path) -> list[str]:
    places = [(hub_cache(), download, "the download"), (directory, adapters, "the adapters")]
    return [
        f"{free / GB:.1f} GB are free in {folder}, {wanted} needs {size / GB:.1f} GB"
        for folder, size, wanted in places
        if (free := free_disk(folder)) < size
    ]
