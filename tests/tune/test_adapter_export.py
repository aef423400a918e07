"""An adapter that was taken away loads as it did, and tells no path of where it was made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerFast

from deltanas.tune.adapter_export import write_adapter
from tests.families import FAMILIES
from tests.tune.test_card import logits, toy, trained

FAMILY = FAMILIES[0]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is dep:FutureWarning")
def test_it_loads_elsewhere_as_it_was(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    asked, _ = trained(FAMILY, tokenizer, tmp_path / "run" / "a", tied=False, head=False)
    dest = tmp_path / "b"
    write_adapter(tmp_path / "run" / "a", dest, model="embedded", dtype="bfloat16", told=[])
    shutil.rmtree(tmp_path / "run")
    loaded = PeftModel.from_pretrained(toy(FAMILY, tied=False), str(dest))
    assert torch.equal(logits(loaded), asked)
    assert "- Merging it" in (dest / "README.md").read_text()


@pytest.mark.parametrize(
    ("model", "base", "told"),
    [
        (
            "some-org/Some-7B",
            "some-org/Some-7B",
            'from_pretrained("some-org/Some-7B", dtype="b16"',
        ),
        ("/data/llms/mine", None, "# LoRA adapter of mine, by deltanas"),
        ("embedded", None, "the LLM inside the package deltanas"),
    ],
)
def test_the_llm_is_named_where_it_can_be_had(
    model: str, base: str | None, told: str, tmp_path: Path
) -> None:
    source = tmp_path / "a"
    source.mkdir()
    known = {"base_model_name_or_path": "llms/old", "target_modules": None, "r": 4}
    (source / "adapter_config.json").write_text(json.dumps(known))
    (source / "adapter_model.safetensors").write_bytes(b"")
    facts = [("run", "a\nbase_model: evil\n---")]
    write_adapter(source, tmp_path / "b", model=model, dtype="b16", told=facts)
    config = json.loads((tmp_path / "b" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base
    card = (tmp_path / "b" / "README.md").read_text()
    assert told in card
    assert "/data" not in card
    head = card.split("---\n")[1].splitlines()
    assert [line for line in head if "base_model" in line] == (
        [f"base_model: {base}"] if base else []
    )
    assert "- run: a base_model: evil ---" in card
