"""What is there: the sizes of an LLM from its configuration alone, free memory and free disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deltanas.llm.loading import LLMError, device_of, source_of
from deltanas.llm.requirements import Sizes

_WEIGHTS = ("*.safetensors", "*.bin")


def read_sizes(model: str, targets: Sequence[str]) -> Sizes:
    """Return the sizes of a hub id or folder; only its configuration is read.

    Raises LLMError where there is none, or one that transformers does not know.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source_of(model))
    except OSError as error:
        raise LLMError(
            f"llm.model={model} is neither a folder with an LLM nor in {hub_cache()}, and the hub"
            f" did not give it: {str(error).splitlines()[0]} Name the folder of its files, or"
            f" fetch them where there is a network: hf download {model}"
        ) from error
    except ValueError as error:
        raise LLMError(f"the configuration of {model} cannot be used: {error}") from error
    return sizes_of(config, targets)


def sizes_of(config: Any, targets: Sequence[str]) -> Sizes:
    """Return the sizes of a configuration, counted on an LLM without memory (meta device).

    `targets` are the names of the layers that LoRA adapts. Raises LLMError where one names none.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        build: Any = AutoModelForCausalLM.from_config
        network = build(config)
    layers = {name: layer for name, layer in network.named_modules()}
    shapes: dict[str, list[tuple[int, ...]]] = {target: [] for target in targets}
    for name, layer in layers.items():
        if (last := name.rpartition(".")[2]) in shapes:
            shapes[last].append(tuple(layer.weight.shape))
    if missing := sorted(target for target, found in shapes.items() if not found):
        raise LLMError(f"llm.lora_targets {missing} name no layer of {type(network).__name__}")
    head = network.get_output_embeddings()
    linear = [x for x in layers.values() if isinstance(x, torch.nn.Linear) and x is not head]
    text = config.get_text_config()
    heads = text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    return Sizes(
        parameters=sum(weight.numel() for weight in network.parameters()),
        packable=sum(layer.weight.numel() for layer in linear),
        adapted=sum(sum(shape) for found in shapes.values() for shape in found),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        vocabulary=text.vocab_size,
        cached=2 * text.num_hidden_layers * kv_heads * width,
        positions=getattr(text, "max_position_embeddings", None),
    )


def free_memory(device: str) -> tuple[str, int | None]:
    """Return `GPU` or `CPU`, and the free bytes there; None where they cannot be asked for."""
    import torch

    place = torch.device(device_of(device))
    if place.type == "cuda":
        return "GPU", torch.cuda.mem_get_info(place)[0]
    meminfo = Path("/proc/meminfo")  # Linux
    if place.type != "cpu" or not meminfo.exists():
        return place.type.upper(), None
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return "CPU", 1024 * int(lines["MemAvailable"].split()[0])


def missing_download(model: str, weights: int) -> int:
    """Return the bytes that the hub would have to send: `weights` less what the cache holds."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if model == "embedded" or Path(model).exists():
        return 0
    try:
        folder = Path(snapshot_download(model, local_files_only=True))
    except LocalEntryNotFoundError:
        return weights
    held = {pattern: sum(p.stat().st_size for p in folder.glob(pattern)) for pattern in _WEIGHTS}
    return max(0, weights - max(held.values()))


def hub_cache() -> Path:
    """Return the folder where the hub's downloads are kept."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def free_disk(folder: Path) -> int:
    """Return the free bytes of the disk of a folder, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
