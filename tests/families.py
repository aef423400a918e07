"""Toy LLMs after the conventions of three families: class, tokenizer and chat template.

The weights are random. Templates are written after the published ones: DeepSeek-Coder's
`### Instruction:` with its default system sentence, Qwen's ChatML with its default system text,
Mistral's `[INST]` with strict alternation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CORPUS = (
    "import torch.nn as nn\nclass Net(nn.Module):\n    def __init__(self, in_shape):\n"
    "        super().__init__()\n        self.conv = nn.Conv2d(in_shape[1], 8, 3, padding=1)\n"
    "    def forward(self, x):\n        return self.head(self.conv(x).mean((2, 3)))\n"
    "@@\n-        self.act = nn.ReLU()\n+        self.act = nn.GELU()\n"
)
DEEPSEEK_TEMPLATE = (
    "{%- set ns = namespace(found=false) -%}"
    "{%- for m in messages if m['role'] == 'system' -%}{%- set ns.found = true -%}{%- endfor -%}"
    "{{ bos_token }}{%- if not ns.found -%}{{ 'You are an AI programming assistant, utilizing the "
    "Deepseek Coder model, and you only answer questions related to computer science.\n' }}"
    "{%- endif -%}"
    "{%- for m in messages -%}"
    "{%- if m['role'] == 'system' -%}{{ m['content'] }}"
    "{%- elif m['role'] == 'user' -%}{{ '### Instruction:\n' + m['content'] + '\n' }}"
    "{%- else -%}{{ '### Response:\n' + m['content'] + '\n<|EOT|>\n' }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '### Response:\n' }}{%- endif -%}"
)
QWEN_TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' -%}{{ '<|im_start|>system\nYou are Qwen, created by "
    "Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}{%- endif -%}"
    "{%- for m in messages -%}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
MISTRAL_TEMPLATE = (
    "{{- bos_token }}{%- for m in messages -%}"
    "{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('conversation roles must alternate user/assistant/user/...') }}"
    "{%- endif -%}"
    "{%- if m['role'] == 'user' -%}{{ '[INST] ' + m['content'] + '[/INST]' }}"
    "{%- else -%}{{ ' ' + m['content'] | trim + eos_token }}{%- endif -%}{%- endfor -%}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What tells one family from another, and the exact sizes of its 7B member."""

    name: str
    network: str  # class in transformers
    config: str
    tokenizer_class: str  # what the family's tokenizer_config.json names
    template: str
    special: tuple[str, ...]
    bos: str | None
    eos: str
    pad: str | None
    pieces: bool  # SentencePiece conventions, not byte-level ones
    sizes: dict[str, Any]
    answer_starts: str  # the end of the rendered prompt


# config.json of deepseek-ai/deepseek-coder-7b-instruct-v1.5, Qwen/Qwen2.5-Coder-7B-Instruct and
# mistralai/Mistral-7B-Instruct-v0.3
FAMILIES = (
    Family(
        name="deepseek",
        network="LlamaForCausalLM",
        config="LlamaConfig",
        tokenizer_class="LlamaTokenizerFast",
        template=DEEPSEEK_TEMPLATE,
        special=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<|EOT|>"),
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
        pad="<｜end▁of▁sentence｜>",
        pieces=False,
        sizes={
            "vocab_size": 102400,
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 30,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
        },
        answer_starts="### Response:\n",
    ),
    Family(
        name="qwen",
        network="Qwen2ForCausalLM",
        config="Qwen2Config",
        tokenizer_class="Qwen2Tokenizer",
        template=QWEN_TEMPLATE,
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        bos=None,
        eos="<|im_end|>",
        pad="<|endoftext|>",
        pieces=False,
        sizes={
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "max_position_embeddings": 32768,
            "tie_word_embeddings": False,
        },
        answer_starts="<|im_start|>assistant\n",
    ),
    Family(
        name="mistral",
        network="MistralForCausalLM",
        config="MistralConfig",
        tokenizer_class="LlamaTokenizer",
        template=MISTRAL_TEMPLATE,
        special=("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
        bos="<s>",
        eos="</s>",
        pad=None,
        pieces=True,
        sizes={
            "vocab_size": 32768,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "max_position_embeddings": 32768,
            "sliding_window": None,
            "tie_word_embeddings": False,
        },
        answer_starts="[/INST]",
    ),
)


def write_toy(family: Family, folder: Path) -> Path:
    """Write a two-layer LLM of the family with random weights, and return its folder."""
    import torch
    import transformers

    tokenizer = _pieces(family) if family.pieces else _byte_level(family)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        unk_token="<unk>" if family.pieces else None,
        chat_template=family.template,
        additional_special_tokens=list(family.special),
    )
    fast.save_pretrained(folder)
    written = folder / "tokenizer_config.json"
    settings = json.loads(written.read_text()) | {"tokenizer_class": family.tokenizer_class}
    settings.pop("backend", None)
    written.write_text(json.dumps(settings))
    ids = {name: fast.convert_tokens_to_ids(name) for name in (family.bos, family.eos) if name}
    toy = family.sizes | {
        "vocab_size": len(fast) + 7,  # as published: the logits are wider than the vocabulary
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4 if family.name == "deepseek" else 2,
        "max_position_embeddings": 4096,
        "bos_token_id": ids.get(family.bos),
        "eos_token_id": ids[family.eos],
    }
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        network = getattr(transformers, family.network)(
            getattr(transformers, family.config)(**toy)
        )
    network.save_pretrained(folder)
    return folder


def _byte_level(family: Family) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _trained(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=320, initial_alphabet=alphabet, special_tokens=list(family.special)
        ),
    )


def _pieces(family: Family) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer = _trained(tokenizer, trainers.BpeTrainer(vocab_size=100))
    learned = json.loads(tokenizer.to_str())["model"]
    names = [*family.special, *(f"<0x{octet:02X}>" for octet in range(256)), *learned["vocab"]]
    tokenizer.model = models.BPE(
        vocab={name: index for index, name in enumerate(dict.fromkeys(names))},
        merges=[tuple(merge) for merge in learned["merges"]],
        unk_token="<unk>",
        byte_fallback=True,
        fuse_unk=True,
    )
    tokenizer.add_special_tokens(list(family.special))
    return tokenizer


def _trained(tokenizer: Tokenizer, trainer: Any) -> Tokenizer:
    tokenizer.train_from_iterator(CORPUS.splitlines(), trainer)
    return tokenizer
