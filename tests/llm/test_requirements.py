"""What an LLM needs: the exact 7B configurations on the meta device, and measured small ones."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from deltanas.llm.loading import LLMError
from deltanas.llm.machine import (
    free_disk,
    free_memory,
    missing_download,
    read_sizes,
    sizes_of,
)
from deltanas.llm.requirements import GB, GIB, KEPT, Task, estimate
from tests.families import FAMILIES, Family

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PAPER = Task(
    width=2,
    packed=False,
    batch=4,
    context=4096,
    max_new_tokens=1024,
    cycles=22,
    rank=32,
    tune_batch=1,
    checkpointing=True,
)
PARAMETERS = {"deepseek": 6_910_365_696, "qwen": 7_615_616_512, "mistral": 7_248_023_552}
TRAINABLE = {"deepseek": 74_956_800, "qwen": 80_740_352, "mistral": 83_886_080}  # rank 32
CACHE_KIB = {"deepseek": 480, "qwen": 56, "mistral": 128}  # a token, in bfloat16


def config_of(family: Family, **changes: Any) -> Any:
    import transformers

    return getattr(transformers, family.config)(**(family.sizes | changes))


@contextmanager
def quiet() -> Iterator[None]:
    """Hide PEFT's use of old names for gradient checkpointing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def adapted(config: Any, rank: int) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_config(config)
    lora = LoraConfig(
        task_type="CAUSAL_LM", r=rank, lora_dropout=0.05, target_modules=list(TARGETS)
    )
    with quiet():
        return get_peft_model(network, lora)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_7b_configurations_have_the_published_sizes(family: Family):
    import torch

    sizes = sizes_of(config_of(family), TARGETS)
    with torch.device("meta"):
        tuned = adapted(config_of(family), rank=32)
    trainable = [(n, w.numel()) for n, w in tuned.named_parameters() if w.requires_grad]
    assert sizes.parameters == PARAMETERS[family.name]
    assert 32 * sizes.adapted == sum(n for _, n in trainable) == TRAINABLE[family.name]
    assert len(trainable) == 2 * len(TARGETS) * sizes.layers
    assert 2 * sizes.cached == CACHE_KIB[family.name] * 1024
    assert sizes.positions == family.sizes["max_position_embeddings"]


@pytest.mark.parametrize(
    ("name", "weights", "cache", "packed"),
    [("deepseek", 12.9, 7.5, 4.5), ("qwen", 14.2, 0.9, 5.2), ("mistral", 13.5, 2.0, 3.9)],
)
def test_a_7b_llm_fits_24_gb_and_in_4_bits_16(
    name: str, weights: float, cache: float, packed: float
):
    family = next(family for family in FAMILIES if family.name == name)
    sizes = sizes_of(config_of(family), TARGETS)
    needs = estimate(sizes, PAPER)
    assert needs.weights / GIB == pytest.approx(weights, abs=0.05)
    assert needs.cache / GIB == pytest.approx(cache, abs=0.05)
    assert needs.adapter == 4 * TRAINABLE[name]
    assert needs.memory < 23.5 * GIB
    small = estimate(sizes, replace(PAPER, packed=True))
    assert small.weights / GIB == pytest.approx(packed, abs=0.05)
    assert small.memory < 15.5 * GIB


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_activations_kept_for_tuning_are_as_measured(dtype: str):
    """Measure what a third layer adds to what autograd saves, against the constants."""
    import torch

    width = 2 if dtype == "bfloat16" else 4

    def kept(layers: int, hidden: int, intermediate: int, tokens: int = 32) -> float:
        changes = {
            "vocab_size": 64,
            "hidden_size": hidden,
            "intermediate_size": intermediate,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
        }
        network = adapted(config_of(FAMILIES[0], **changes), rank=4)
        network = network.to(getattr(torch, dtype)).train()
        for name, weight in network.named_parameters():
            if "lora" in name:
                weight.data = weight.data.float()
        own = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
        saved: dict[int, tuple[int, Any]] = {}

        def pack(tensor: Any) -> Any:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                saved[storage.data_ptr()] = (storage.nbytes(), tensor)
            return tensor

        inputs = torch.zeros(1, tokens, dtype=torch.int64)
        mixed = torch.autocast("cpu", torch.bfloat16, enabled=width == 2)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), mixed:
            network(input_ids=inputs, use_cache=False)
        return sum(size for size, _ in saved.values()) / tokens

    hidden, intermediate = 256, 768
    measured = kept(3, hidden, intermediate) - kept(2, hidden, intermediate)
    per_hidden, per_intermediate = KEPT[width]
    stated = per_hidden * hidden + per_intermediate * intermediate
    assert measured == pytest.approx(stated, rel=0.15)


def test_the_cache_is_what_a_token_leaves_behind():
    import torch
    from transformers import AutoModelForCausalLM

    changes = {"hidden_size": 64, "num_hidden_layers": 3, "intermediate_size": 64}
    heads = {"vocab_size": 64, "num_attention_heads": 8, "num_key_value_heads": 2}
    config = config_of(FAMILIES[2], **changes, **heads)
    cache = AutoModelForCausalLM.from_config(config)(torch.zeros(1, 5, dtype=torch.int64))
    held = sum(layer.keys.numel() + layer.values.numel() for layer in cache.past_key_values.layers)
    assert held == 5 * sizes_of(config, TARGETS).cached


def test_a_frozen_llm_needs_nothing_for_tuning():
    needs = estimate(sizes_of(config_of(FAMILIES[1]), ()), replace(PAPER, rank=0))
    assert (needs.adapter, needs.tuning, needs.adapters_on_disk) == (0, 0, 0)
    line = needs.text("GPU", 15 * GB)
    assert "LoRA" not in line


def test_a_target_that_names_no_layer_is_refused():
    with pytest.raises(LLMError, match=r"lora_targets \['c_attn'\] name no layer of Qwen2For"):
        sizes_of(config_of(FAMILIES[1]), ["q_proj", "c_attn"])


def test_an_llm_that_is_nowhere_is_refused(tmp_path):
    with pytest.raises(LLMError, match=f"{tmp_path}/none is neither a folder with an LLM nor in"):
        read_sizes(str(tmp_path / "none"), [])


def test_the_hub_is_asked_for_what_its_cache_lacks(tmp_path, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert missing_download("a/b", 100) == 100
    repository = tmp_path / "models--a--b"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (repository / "snapshots" / ("0" * 40) / "model.safetensors").write_bytes(b"x" * 60)
    assert missing_download("a/b", 100) == 40
    assert missing_download(str(tmp_path), 100) == 0


def test_the_machine_is_asked_for_free_memory_and_disk(tmp_path):
    place, free = free_memory("cpu")
    assert place == "CPU"
    assert free is None or 0 < free < 10**14
    assert free_disk(tmp_path / "not" / "there") == pytest.approx(free_disk(tmp_path), rel=0.1)
