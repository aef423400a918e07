"""What an adapter's card says holds for the classes of the three 7B LLMs, at toy size."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from deltanas.tune.card import named_errors
from tests.families import FAMILIES, Family
from tests.tune.pairs import make_lesson
from tests.tune.test_lora import make_tuner

pytestmark = [
    pytest.mark.filterwarnings("ignore:Model (has|with) `tie_word_embeddings=True`:UserWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is dep:FutureWarning"),
]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def toy(family: Family, *, tied: bool) -> PreTrainedModel:
    """Return a small LLM of a family's class, in bfloat16."""
    config = getattr(transformers, family.config)(
        vocab_size=260,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=3,
        pad_token_id=0,
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        llm: Any = getattr(transformers, family.network)(config)
    return llm.to(torch.bfloat16).eval()


@torch.no_grad()
def logits(llm: Any) -> Tensor:
    found: Tensor = llm(torch.arange(4, 60).unsqueeze(0)).logits.float()
    return found


def trained(
    family: Family, tokenizer: PreTrainedTokenizerFast, folder: Path, *, tied: bool, head: bool
) -> tuple[Tensor, str]:
    """Return the logits of an LLM with a large adapter, which lies in the folder, and its card."""
    targets = ("q_proj", "down_proj", *(("lm_head",) if head else ()))
    tuner = make_tuner(toy(family, tied=tied), tokenizer, targets=targets)  # type: ignore[arg-type]
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        for name, weight in tuner.llm.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.2)
    lessons = [make_lesson(number) for number in range(3)]
    tuner.learn(lessons[:2], lessons[2:], seed=0, directory=folder)
    return logits(tuner.llm), (folder / "README.md").read_text()


@every_family
@pytest.mark.parametrize(("tied", "head"), [(True, False), (False, True), (True, True)])
def test_merging_keeps_the_logits_unless_the_card_warns_of_it(
    family: Family, tied: bool, head: bool, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    asked, card = trained(family, tokenizer, tmp_path / "a", tied=tied, head=head)
    loaded = PeftModel.from_pretrained(toy(family, tied=tied), str(tmp_path / "a"))
    assert torch.equal(logits(loaded), asked)
    moved = (logits(loaded.merge_and_unload()) - asked).abs().max() / asked.abs().max()
    if tied and head:
        assert "Do not merge it: lm_head shares its weights" in card
        assert moved > 0.5
    else:
        assert "Merging it (`merge_and_unload`) keeps the logits" in card
        assert moved < 0.05


@every_family
def test_the_adapter_is_float32_on_bfloat16_weights(
    family: Family, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    _, card = trained(family, tokenizer, tmp_path / "a", tied=False, head=False)
    saved = load_file(tmp_path / "a/adapter_model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {torch.float32}
    assert f"adapter of {family.network}, rank 4, alpha 8, on q_proj, down_proj." in card
    assert "in bfloat16. The adapter itself is float32" in card


def full(error: Exception, folder: Path) -> None:
    with named_errors(folder):
        raise error


def test_a_full_disk_is_an_error_of_the_system_with_a_name(tmp_path: Path) -> None:
    text = "Error while serializing: I/O error: No space left on device (os error 28)"
    for error in (SafetensorError(text), OSError(errno.ENOSPC, "No space left on device")):
        with pytest.raises(OSError, match="No space left") as caught:
            full(error, tmp_path)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))
    with pytest.raises(SafetensorError, match="other"):
        full(SafetensorError("other"), tmp_path)
