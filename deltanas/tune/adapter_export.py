"""An adapter's folder made to be taken elsewhere: no path of this machine in it, and a card."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

_CONFIG, _WEIGHTS, _CARD = "adapter_config.json", "adapter_model.safetensors", "README.md"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
EMBEDDED = "embedded"  # the LLM inside the package
_LOADS = {
    True: """\
from importlib.resources import files

from peft import PeftModel
from transformers import AutoModelForCausalLM

llm = AutoModelForCausalLM.from_pretrained(str(files("deltanas.llm") / "embedded"))
llm = PeftModel.from_pretrained(llm, "THIS_FOLDER")
""",
    False: """\
from peft import PeftModel
from transformers import AutoModelForCausalLM

llm = AutoModelForCausalLM.from_pretrained("{base}", dtype="{dtype}")
llm = PeftModel.from_pretrained(llm, "THIS_FOLDER")
""",
}


def write_adapter(
    source: Path,
    dest: Path,
    *,
    model: str,
    dtype: str,
    told: Sequence[tuple[str, str]],
) -> None:
    """Copy an adapter to a folder that is not there yet, with its own card.

    `model` is what the LLM was loaded from: a hub id, a folder, or `embedded`; of a folder only
    the name is told. `told` are facts for the card. Raises FileNotFoundError where `source` holds
    no adapter.
    """
    known = json.loads((source / _CONFIG).read_text(encoding="utf-8"))
    base = model if _HUB_ID.fullmatch(model) else None
    config = {key: _without_paths(value) for key, value in known.items()}
    config["base_model_name_or_path"] = base
    config["target_modules"] = sorted(known.get("target_modules") or ())
    partial = dest.with_name(f".{dest.name}.unfinished")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    (partial / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(source / _WEIGHTS, partial / _WEIGHTS)  # safetensors hides what it writes
    card = _card(config, model, base, dtype, told, _merging(source))
    (partial / _CARD).write_text(card, encoding="utf-8")
    partial.replace(dest)


def _without_paths(value: Any) -> Any:
    return None if isinstance(value, str) and PurePath(value).is_absolute() else value


def _merging(source: Path) -> str:
    """Return what the run's own card says of merging; versions before it wrote none."""
    card = source / _CARD
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    return next((line for line in lines if "merg" in line.lower()), "")


def _card(
    config: Mapping[str, Any],
    model: str,
    base: str | None,
    dtype: str,
    told: Sequence[tuple[str, str]],
    merging: str,
) -> str:
    """Return the card: what the hub reads above, what people read below."""
    embedded = model == EMBEDDED
    name = "the LLM inside the package deltanas" if embedded else base or PurePath(model).name
    head = ["library_name: peft", *([f"base_model: {base}"] if base else [])]
    loads = _LOADS[embedded].format(base=base or "FOLDER_OF_THE_LLM", dtype=dtype)
    facts = [f"- {_plain(key)}: {_plain(value)}" for key, value in told]
    lines = [
        *("---", *head, "tags: [lora, neural-architecture-search]", "---", ""),
        *(f"# LoRA adapter of {_plain(name)}, by deltanas", ""),
        f"Rank {config.get('r')}, alpha {config.get('lora_alpha')}, on"
        f" {', '.join(map(_plain, config['target_modules']))}. It writes unified diffs of neural"
        " networks, asked as in the run that it was tuned in.",
        *("", *facts, *([merging] if merging else []), "", "```python", *loads.splitlines()),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in str(text))
