"""Weights and tokenizer of a causal LM: from the hub, a folder or the package itself."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deltanas.records import UserError

EMBEDDED = Path(__file__).with_name("embedded")  # the LLM that travels inside the package
_SPECIMEN = "class Net(nn.Module):\n    def forward(self, x):\n\treturn x , [ 1 ]\n"


class LLMError(UserError):
    """An LLM that cannot be used as configured; the message says what to change."""


def source_of(model: str) -> str:
    """Return what transformers loads: a hub id or a folder; `embedded` is the package's own."""
    return str(EMBEDDED) if model == "embedded" else model


def device_of(name: str) -> str:
    """Return the device to use; `auto` is the GPU where there is one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def load_tokenizer(model: str) -> Any:
    """Return a fast tokenizer that pads on the left and gives text back unchanged.

    Raises LLMError where there is no fast one, no chat template, or where text is lost:
    transformers 5 loads some byte-level tokenizers as SentencePiece ones, which drops every space
    (https://github.com/huggingface/transformers/issues/46489). Raises OSError where nothing is
    found.
    """
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(source_of(model), padding_side="left")
    if not tokenizer.is_fast or tokenizer.chat_template is None:
        lacks = "chat template" if tokenizer.is_fast else "tokenizer.json"
        raise LLMError(f"{model} has no {lacks}; llm.model must name an instruction-tuned LLM")
    ids = tokenizer.encode(_SPECIMEN, add_special_tokens=False)
    if (back := decoded(tokenizer, ids)) != _SPECIMEN:
        raise LLMError(
            f"the tokenizer of {model} turns {_SPECIMEN!r} into {back!r}; it must give text back"
            " unchanged. Set tokenizer_class to PreTrainedTokenizerFast in its"
            " tokenizer_config.json, or install a newer transformers"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """Return the text of tokens without special ones, every space kept."""
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def check_quantization(quantization: str, device: str) -> None:
    """Raise LLMError where 4-bit weights are asked for without bitsandbytes or without a GPU.

    On CPUs with AVX512-BF16, bitsandbytes 0.50 repacks a layer for its first reply into a layout
    through which no gradient comes back.
    """
    if quantization == "none":
        return
    if find_spec("bitsandbytes") is None:
        raise LLMError(
            f"llm.quantization={quantization} needs bitsandbytes, which is not installed;"
            " install it with: pip install 'deltanas[quant]'"
        )
    if not device_of(device).startswith("cuda"):
        raise LLMError(
            f"llm.quantization={quantization} needs a GPU, and the device is {device_of(device)}:"
            " there, LoRA gets no gradients through 4-bit weights"
        )


def load_network(model: str, *, dtype: str, device: str, quantization: str) -> Any:
    """Return the weights on their device, in evaluation mode.

    `nf4` packs the linear layers into 4 bits with doubly quantized constants and computes in
    `dtype` (QLoRA, arXiv 2305.14314). Raises LLMError where it cannot work, and OSError where
    nothing is found.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.utils import logging

    if Path(model).exists() or model == "embedded":
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar is for downloads and large weights
    kind, place = getattr(torch, dtype), device_of(device)
    load: Any = AutoModelForCausalLM.from_pretrained
    check_quantization(quantization, place)
    if quantization == "none":
        return load(source_of(model), dtype=kind).to(place).eval()
    packing: Any = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=kind,
    )
    loaded: Any = load(
        source_of(model), dtype=kind, quantization_config=packing, device_map={"": place}
    )
    return loaded.eval()


def end_tokens(tokenizer: Any, network: Any, stop: Sequence[str], model: str) -> list[int]:
    """Return the tokens that end a reply: those of `stop` first, then the LLM's own.

    Raises LLMError for a text that is no single token, and where there is no end at all.
    """
    ends: list[int] = []
    for text in stop:
        token = tokenizer.convert_tokens_to_ids(text)
        if token is None or token == tokenizer.unk_token_id:
            raise LLMError(f"llm.stop names {text!r}, which is no token of {model}")
        ends.append(token)
    own = network.generation_config.eos_token_id
    ends += [tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])]
    ends = [token for token in dict.fromkeys(ends) if token is not None]
    if not ends:
        raise LLMError(f"{model} names no token that ends a reply; llm.stop must name one")
    return ends


def ran_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether torch found no memory: on a GPU it has a class for that, on the CPU a text."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
