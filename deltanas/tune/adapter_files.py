"""An adapter's folder: the two files that PEFT's own `from_pretrained` looks for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from deltanas.tune.card import named_errors, write_card
from deltanas.tune.training import LoraSettings

_WEIGHTS = "adapter_model.safetensors"
_ADAPTER = "default"


def save_adapter(
    adapted: PeftModel, llm: PreTrainedModel, settings: LoraSettings, directory: Path
) -> None:
    """Write both and a card beside `directory`, then move them there, in place of what is there.

    Raises OSError with the folder's name where the disk does not take it.
    """
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed here
    partial.mkdir(parents=True)
    state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    weights = {name: weight.contiguous().cpu() for name, weight in state.items()}
    with named_errors(directory):
        save_file(weights, partial / _WEIGHTS, metadata={"format": "pt"})
        adapted.peft_config[_ADAPTER].save_pretrained(str(partial))
        write_card(partial, llm, settings)
    shutil.copymode(partial / "adapter_config.json", partial / _WEIGHTS)  # safetensors: 0600
    for path in partial.iterdir():  # the row of the cycle counts on them
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if directory.exists():
        shutil.rmtree(directory)
    partial.replace(directory)


def load_adapter(adapted: PeftModel, settings: LoraSettings, directory: Path) -> None:
    """Put saved weights in place of the present ones.

    Raises FileNotFoundError when `directory` holds no adapter, and ValueError when that adapter
    was made with another rank, alpha or targets.
    """
    if not (directory / _WEIGHTS).is_file():
        raise FileNotFoundError(f"{directory} holds no {_WEIGHTS}")
    saved = LoraConfig.from_pretrained(str(directory))
    found = (saved.r, saved.lora_alpha, sorted(saved.target_modules or ()))
    wanted = (settings.r, settings.alpha, sorted(settings.targets))
    if found != wanted:
        raise ValueError(
            f"the adapter in {directory} has rank, alpha, targets {found}; "
            f"this run's have {wanted}; they must be equal"
        )
    set_peft_model_state_dict(adapted, load_file(directory / _WEIGHTS))
