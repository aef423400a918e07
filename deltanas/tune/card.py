"""What lies in an adapter's folder besides its weights: how to use them, and what to beware of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from transformers import PreTrainedModel

from deltanas.tune.training import LoraSettings

NAME = "README.md"
_OS_ERROR = re.compile(r"\(os error ([0-9]+)\)")
_CARD = """\
LoRA adapter of {kind}, rank {r}, alpha {alpha}, on {targets}.

- Made by deltanas on {base} in {dtype}. The adapter itself is float32: PEFT makes it so whatever
  the type of the LLM is, and deltanas leaves it so, in memory, in training and in this folder.
- To use it, load the LLM in {dtype}, then `PeftModel.from_pretrained(llm, FOLDER)`.
- {merging}
"""
_MERGED = (
    "Merging it (`merge_and_unload`) keeps the logits up to what {dtype} rounds: no layer that it"
    " changes shares its weights with another."
)
_TIED = (
    "Do not merge it: {shared} shares its weights with the input embeddings, which merging would"
    " change too, and with them every answer."
)
_EMBEDDINGS = frozenset({"lm_head", "embed_tokens", "wte", "embed_out"})


def write_card(folder: Path, llm: PreTrainedModel, settings: LoraSettings) -> None:
    """Write the card of an adapter beside its weights."""
    shared = sorted(_EMBEDDINGS & set(settings.targets)) if llm.config.tie_word_embeddings else []
    dtype = str(llm.dtype).removeprefix("torch.")
    merging = _TIED.format(shared=" and ".join(shared)) if shared else _MERGED.format(dtype=dtype)
    text = _CARD.format(
        kind=type(llm).__name__,
        r=settings.r,
        alpha=settings.alpha,
        targets=", ".join(settings.targets),
        base=llm.name_or_path or "an LLM without a name",
        dtype=dtype,
        merging=merging,
    )
    (folder / NAME).write_text(text, encoding="utf-8")


@contextmanager
def named_errors(folder: Path) -> Iterator[None]:
    """Raise what the system says of a write as an OSError with the folder's name.

    safetensors 0.8 has an error of its own with the system's number in its text, and the standard
    library names no file where a disk is full.
    """
    try:
        yield
    except SafetensorError as error:
        found = _OS_ERROR.search(str(error))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(folder)) from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, error.filename or str(folder)) from error
