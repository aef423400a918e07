"""A random LLM of a few thousand parameters with a real tokenizer and chat template."""

from pathlib import Path

import pytest

from deltanas.llm.local import TransformersLLM

CODE = """import torch
import torch.nn as nn
def supported_hyperparameters():
    return {'lr'}
class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.conv = nn.Conv2d(in_shape[1], 8, 3, padding=1)
        self.act = nn.ReLU()
        self.head = nn.Linear(8, out_shape[0])
    def forward(self, x):
        return self.head(self.act(self.conv(x)).mean((2, 3)))
    def train_setup(self, prm):
        pass
    def learn(self, train_data):
        pass
"""


@pytest.fixture(scope="session")
def code() -> str:
    """Return a small network in the LEMUR interface."""
    return CODE


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an untrained two-layer Llama and a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<pad>", "<|user|>", "<|assistant|>", "<|end|>"]
    alphabet = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(alphabet)}, []))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<|end|>"
    )
    fast.chat_template = (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
        "{% if m['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    )
    torch.manual_seed(0)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(alphabet),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=2048,
            eos_token_id=fast.eos_token_id,
            pad_token_id=fast.pad_token_id,
            bos_token_id=None,
        )
    )
    folder = tmp_path_factory.mktemp("llm")
    fast.save_pretrained(folder)
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def llm(tiny_llm: Path) -> TransformersLLM:
    """Return the untrained LLM behind its Protocol."""
    return TransformersLLM(
        str(tiny_llm),
        dtype="float32",
        device="cpu",
        context=1024,
        max_new_tokens=120,
        temperature=1.0,
        top_k=300,
        top_p=1.0,
        batch=3,
    )
