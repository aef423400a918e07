"""A batch, three toys, and the script that has TRL compute its losses on them.

    pip install trl==1.16.0 && PYTHONPATH=. python tests/tune/trl_figures.py

writes `trl_figures.json` anew. TRL is not among the packages that tests need: it brings datasets,
pandas and pyarrow, 250 MB.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

FIGURES = Path(__file__).with_suffix(".json")
BETA = 0.3
GROUPS = (  # prompt, and its answers with their rewards
    ("7 8 9 10 11", {"20 21 22": 0.9, "23 24 25 26 27 28": 0.2, "20 29": 0.6}),
    ("12 13 14", {"30 31": 0.1, "32 33 34 35": 0.7, "20 36 37 38": 0.4}),
)
TIED = ("15 16 17", {"40 41": 0.5, "42 43 44 45 46": 0.5})


def toy(towards: float) -> LlamaForCausalLM:
    """Return an LLM whose weights follow a formula; `towards` moves it away from that at 0."""
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    llm = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for number, weight in enumerate(llm.parameters()):
            places = torch.arange(weight.numel(), dtype=torch.float64)
            base = 0.4 * torch.sin(0.37 * places**1.1 + number)
            moved = base + 0.3 * towards * torch.cos(0.91 * places + 3 * number)
            weight.copy_(moved.reshape(weight.shape))
    return llm


def stored(towards: float, folder: str) -> LlamaForCausalLM:
    """Return a toy as a folder gives it, as TRL looks up where an LLM came from."""
    path = Path(folder) / f"toy_{towards}"
    toy(towards).save_pretrained(path)
    return LlamaForCausalLM.from_pretrained(path)


def ids(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def padded(sequences: list[tuple[list[int], list[int]]]) -> tuple[Any, Any, Any]:
    """Return prompts with answers, padded on the right, and where there is text and an answer."""
    width = max(len(prompt) + len(answer) for prompt, answer in sequences)
    tokens, text, answers = (torch.zeros(len(sequences), width, dtype=torch.int64) for _ in "123")
    for row, (prompt, answer) in enumerate(sequences):
        length = len(prompt) + len(answer)
        tokens[row, :length] = torch.tensor(prompt + answer)
        text[row, :length] = 1
        answers[row, len(prompt) : length] = 1
    return tokens, text, answers


def options(folder: str) -> dict[str, Any]:
    return {
        "output_dir": folder,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "beta": BETA,
        "per_device_train_batch_size": 6,
    }


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<end>": 1, "a": 2, "b": 3}, "a"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>")


def result(trainer: Any, batch: dict[str, Any], *rest: Any) -> dict[str, float]:
    trainer.model.eval()
    loss = trainer._compute_loss(trainer.model, batch, *rest)
    trainer.model.zero_grad()
    loss.backward()
    gradient = trainer.model.get_input_embeddings().weight.grad
    return {"loss": loss.item(), "gradient": gradient.norm().item()}


def dpo(folder: str) -> dict[str, float]:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    rows = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "a"}])
    trainer = DPOTrainer(
        stored(1.0, folder),
        stored(0.0, folder),
        args=DPOConfig(**options(folder)),
        train_dataset=rows,
        processing_class=tokenizer(),
    )
    ranked = [
        (ids(prompt), [ids(text) for text in sorted(answers, key=answers.__getitem__)])
        for prompt, answers in GROUPS
    ]
    chosen = [(prompt, answers[-1]) for prompt, answers in ranked]
    rejected = [(prompt, answers[0]) for prompt, answers in ranked]
    tokens, text, mask = padded(chosen + rejected)
    batch = {"input_ids": tokens, "attention_mask": text, "completion_mask": mask}
    return result(trainer, batch, False)


def kto(folder: str) -> dict[str, float]:
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    rows = [{"prompt": "a", "completion": "b", "label": label} for label in (True, False)]
    trainer = KTOTrainer(
        stored(1.0, folder),
        stored(0.0, folder),
        args=KTOConfig(**options(folder), train_sampling_strategy="sequential"),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer(),
    )
    (first, one), (second, other) = GROUPS
    given = [(ids(first), ids(a), r) for a, r in one.items()]
    given += [(ids(second), ids(a), r) for a, r in other.items()]
    apart = [(ids(second), ids(a)) for a in one] + [(ids(first), ids(a)) for a in other]
    tokens, text, mask = padded([(prompt, answer) for prompt, answer, _ in given])
    kl_tokens, kl_text, kl_mask = padded(apart)
    batch = {
        "input_ids": tokens,
        "attention_mask": text,
        "completion_mask": mask,
        "label": torch.tensor([reward > 0.5 for _, _, reward in given]),
        "KL_input_ids": kl_tokens,
        "KL_attention_mask": kl_text,
        "KL_completion_mask": kl_mask,
    }
    return result(trainer, batch, False)


def grpo(folder: str) -> dict[str, float]:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer
    from trl.trainer.utils import nanstd

    trainer = GRPOTrainer(
        stored(1.0, folder),
        lambda completions, **_: [0.0 for _ in completions],
        args=GRPOConfig(**options(folder), num_generations=3),
        train_dataset=Dataset.from_list([{"prompt": "a"}]),
        processing_class=tokenizer(),
    )
    rewards = torch.tensor([list(answers.values()) for _, answers in GROUPS])
    advantages = (rewards - rewards.mean(1, True)) / (nanstd(rewards, dim=1, keepdim=True) + 1e-4)
    prompts = [ids(prompt) for prompt, answers in GROUPS for _ in answers]
    answers = [ids(text) for _, answers in GROUPS for text in answers]
    width = max(map(len, prompts))
    before = [[0] * (width - len(prompt)) + prompt for prompt in prompts]  # padded on the left
    tokens, mask, _ = padded([([], answer) for answer in answers])
    batch = {
        "prompt_ids": torch.tensor(before),
        "prompt_mask": (torch.tensor(before) > 0).long(),
        "completion_ids": tokens,
        "completion_mask": mask,
        "advantages": advantages.flatten(),
        "num_items_in_batch": mask.sum(),
    }
    for name, towards in (("old_per_token_logps", 0.5), ("ref_per_token_logps", 0.0)):
        trainer.model.load_state_dict(toy(towards).state_dict())
        with torch.no_grad():
            batch[name], *_ = trainer._get_per_token_logps_and_entropies(
                trainer.model.eval(),
                torch.cat((batch["prompt_ids"], tokens), 1),
                torch.cat((batch["prompt_mask"], mask), 1),
                tokens.shape[1],
            )
    trainer.model.load_state_dict(toy(1.0).state_dict())
    return result(trainer, batch)


def main() -> None:
    import trl

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        figures = {"dpo": dpo(folder), "grpo": grpo(folder), "kto": kto(folder)}
    FIGURES.write_text(json.dumps({"trl": trl.__version__, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
