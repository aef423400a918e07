"""Train the embedded LLM: tokenizer, then a small Llama, on the corpus that `corpus.py` makes.

One sequence holds a baseline once and several answers to it; an answer sees the baseline and
itself, as it would alone, so that the baseline's tokens are computed once for all of them.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from deltanas.cli.environment import ensure

log = logging.getLogger("train")

PAD, USER, ASSISTANT, END = "<pad>", "<|user|>", "<|assistant|>", "<|end|>"
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
VOCABULARY = 2048
# A name is never one token with what follows it, so that copying it is the same everywhere; only
# names of torch, keywords and the fixed lines of the interface are.
PIECES = (
    r"\n|^[-+](?=[ \w@#\])}.]|$)|^ +"
    r"|def __init__\(self, in_shape[^\n]*|super\(\)\.__init__\(\)|self\.device = device"
    r"|def forward\(self, x[^\n]*|class Net\([^\n]*|import [^\n]*"
    r"|(?<!\w)\d+(?!\w)|(?<![\w.])(?:torch\.nn|torch|nn|F)\.\w+\(?"
    r"|(?<!\w)[A-Za-z_]\w*=(?!=)|(?<!\w)(?:self\.)?[A-Za-z_]\w*|[^\w\n]+|."
)
MAX_TOKENS = 900  # of one training sequence
PROMPT_WEIGHT = 0.25  # of a token of a baseline in the loss: reading code teaches to copy names


def train_tokenizer(texts: Iterator[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer with the chat template of the embedded LLM."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=100,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END)
    fast.chat_template = CHAT_TEMPLATE
    return fast


Example = tuple[list[int], list[list[int]]]  # token ids of the prompt and of each answer


def tokenize(line: str, tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Return the tokenised examples of one line of the corpus, the whole network apart."""
    row = json.loads(line)

    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    examples = []
    edited = row.get("task", "delta")  # edit_outcomes has others
    for task, answers in ((edited, row["deltas"]), ("network", [row.get("network")])):
        prompt = ids(f"{USER}{task}\n{row['prompt']}{ASSISTANT}")
        tokens = [ids(f"{answer}{END}") for answer in answers if answer]
        fitting = [each for each in tokens if len(prompt) + len(each) <= MAX_TOKENS]
        if fitting:
            examples.append((prompt, fitting))
    return examples


def drawn(example: Example, rng: random.Random) -> Example:
    """Return the prompt with as many of its answers, in random order, as fit a sequence."""
    prompt, answers = example
    chosen, size = [], len(prompt)
    for answer in rng.sample(answers, len(answers)):
        if size + len(answer) <= MAX_TOKENS:
            chosen.append(answer)
            size += len(answer)
    return prompt, chosen


class Sequences(IterableDataset[list[Example]]):
    """Batches of sequences of similar length, in a new order every time it is read."""

    def __init__(self, paths: list[Path], tokenizer: PreTrainedTokenizerFast, budget: int) -> None:
        self.paths, self.tokenizer, self.budget = paths, tokenizer, budget  # budget: tokens
        self.cache: dict[Path, tuple[int, list[Example]]] = {}
        self.reads = 0

    def _load(self) -> list[Example]:
        examples: list[Example] = []
        for path in self.paths:
            offset, known = self.cache.get(path, (0, []))
            if path.exists():
                with path.open() as file:
                    file.seek(offset)
                    while (line := file.readline()).endswith("\n"):
                        known.extend(tokenize(line, self.tokenizer))
                        offset = file.tell()
                self.cache[path] = (offset, known)
            examples += known
        return examples

    def __iter__(self) -> Iterator[list[Example]]:
        rng = random.Random(self.reads)
        examples = [drawn(example, rng) for example in self._load()]
        self.reads += 1
        rng.shuffle(examples)
        log.info("pass %d over %d sequences", self.reads, len(examples))
        batches: list[list[Example]] = []
        for start in range(0, len(examples), 512):
            block = sorted(examples[start : start + 512], key=length)
            batch: list[Example] = []
            for example in block:
                if batch and length(example) * (len(batch) + 1) > self.budget:
                    batches.append(batch)
                    batch = []
                batch.append(example)
            batches.append(batch)
        rng.shuffle(batches)
        yield from batches


def length(example: Example) -> int:
    """Return the tokens of a sequence."""
    return len(example[0]) + sum(map(len, example[1]))


def collate(batch: list[Example]) -> dict[str, Tensor]:
    """Return ids, positions, targets and their weights (B, T), and the additive mask (B, 1, T, T).

    Rows are padded to the longest; a padded place has weight 0.
    """
    width = max(map(length, batch))
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    positions = torch.zeros(len(batch), width, dtype=torch.long)
    segments = torch.full((len(batch), width), -1)
    targets = torch.zeros(len(batch), width, dtype=torch.long)
    weights = torch.zeros(len(batch), width)
    for row, (prompt, answers) in enumerate(batch):
        at = len(prompt)
        ids[row, :at] = torch.tensor(prompt)
        positions[row, :at] = torch.arange(at)
        segments[row, :at] = 0
        targets[row, : at - 1] = torch.tensor(prompt[1:])
        weights[row, : at - 1] = PROMPT_WEIGHT
        for segment, answer in enumerate(answers, 1):
            end = at + len(answer)
            ids[row, at:end] = torch.tensor(answer)
            positions[row, at:end] = torch.arange(len(prompt), len(prompt) + len(answer))
            segments[row, at:end] = segment
            targets[row, at : end - 1] = torch.tensor(answer[1:])
            weights[row, at : end - 1] = 1.0
            at = end
        targets[row, len(prompt) - 1] = answers[0][0]  # the same for all: @@, or `import`
        weights[row, len(prompt) - 1] = 1.0
    same = segments[:, :, None] == segments[:, None, :]
    visible = (same | (segments[:, None, :] == 0)) & torch.ones(width, width).tril().bool()
    visible |= torch.eye(width, dtype=torch.bool)
    mask = torch.zeros(visible.shape, dtype=torch.bfloat16).masked_fill(~visible, -1e30)
    return {
        "ids": ids,
        "positions": positions,
        "mask": mask[:, None],
        "targets": targets,
        "weights": weights,
    }


class EmbeddedLLM(lightning.LightningModule):
    """The small Llama and its optimizers: Muon for matrices, AdamW for the rest."""

    def __init__(
        self, config: LlamaConfig, *, lr: float, minutes: float, pause: float = math.inf
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.llm = LlamaForCausalLM(config)
        self.lr, self.seconds, self.pause = lr, minutes * 60, pause * 60
        self.spent = 0.0  # seconds of training, over all starts
        self.last = time.monotonic()

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the weighted mean loss, and the mean over answer tokens alone, in nats."""
        hidden = self.llm.model(
            batch["ids"],
            attention_mask=batch["mask"],
            position_ids=batch["positions"],
            use_cache=False,
        ).last_hidden_state
        wanted = batch["weights"] > 0
        logits = self.llm.lm_head(hidden[wanted]).float()
        losses = functional.cross_entropy(logits, batch["targets"][wanted], reduction="none")
        weights = batch["weights"][wanted]
        return (losses * weights).sum() / weights.sum(), losses[weights == 1.0].detach().mean()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Take one step; the learning rate warms up, holds, and falls in the last 40 % of time."""
        now = time.monotonic()
        self.spent += min(now - self.last, 60.0)
        self.last = now
        left = max(0.0, 1 - self.spent / self.seconds)
        scale = min(1.0, (self.global_step / 2 + 1) / 60, left / 0.4)
        optimizers: Any = self.optimizers()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * scale
            optimizer.zero_grad()
        loss, answer_loss = self(batch)
        self.manual_backward(loss)
        self.clip_gradients(optimizers[0], gradient_clip_val=1.0)
        for optimizer in optimizers:
            optimizer.step()
        answer_tokens = float((batch["weights"] == 1.0).sum())
        self.log_dict(
            {
                "loss": answer_loss,
                "lr": scale,
                "minutes": self.spent / 60,
                "tokens": answer_tokens,
            }
        )
        if batch_idx % 50 == 0:
            log.info(
                "step %d loss %.3f, of answers %.3f, minutes %.1f",
                self.global_step // 2,
                loss,
                answer_loss,
                self.spent / 60,
            )
        if left == 0.0 or self.spent >= self.pause:
            self.trainer.should_stop = True

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return Muon for the matrices inside the layers and AdamW for embedding and norms."""
        matrices = [p for p in self.llm.model.layers.parameters() if p.ndim == 2]
        others = [p for p in self.llm.parameters() if not any(p is m for m in matrices)]
        muon = torch.optim.Muon(
            [{"params": matrices, "base": self.lr}],
            lr=self.lr,
            weight_decay=0.05,
            adjust_lr_fn="match_rms_adamw",
        )
        adam = torch.optim.AdamW(
            [{"params": others, "base": self.lr}], lr=self.lr, betas=(0.9, 0.95), weight_decay=0.0
        )
        return [muon, adam]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time spent, on which the learning rate depends."""
        checkpoint["spent"] = self.spent

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the time spent."""
        self.spent = checkpoint["spent"]


def main() -> None:
    """Train, and write the LLM as Hugging Face files to OUTPUT/llm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("corpus", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=104.0, help="of the whole training")
    parser.add_argument("--pause", type=float, default=math.inf, help="stop here, to go on later")
    parser.add_argument("--start", type=Path, help="folder of a trained LLM to go on from")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--batch-tokens", type=int, default=6000)
    options = parser.parse_args()
    ensure()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    lightning.seed_everything(1)
    folder: Path = options.output / "llm"
    if options.start:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(options.start)
        tokenizer.save_pretrained(folder)
    elif folder.exists():
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    else:
        tokenizer = train_tokenizer(corpus_texts(options.corpus[0]))
        tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        attn_implementation="sdpa",
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    module = EmbeddedLLM(config, lr=options.lr, minutes=options.minutes, pause=options.pause)
    if options.start:
        module.llm = LlamaForCausalLM.from_pretrained(options.start, dtype=torch.float32)
    trainer = lightning.Trainer(
        max_epochs=-1,
        accelerator="auto",
        precision="bf16-mixed",
        logger=CSVLogger(options.output, name="curve"),
        callbacks=[ModelCheckpoint(options.output, filename="last", every_n_train_steps=200)],
        log_every_n_steps=20,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = DataLoader(
        Sequences(options.corpus, tokenizer, options.batch_tokens),
        batch_size=None,
        collate_fn=collate,
    )
    last = options.output / "last.ckpt"
    trainer.fit(module, data, ckpt_path=str(last) if last.exists() else None)
    trainer.save_checkpoint(last)
    module.llm.to(torch.bfloat16).save_pretrained(folder)
    log.info("wrote %s", folder)


def corpus_texts(path: Path) -> Iterator[str]:
    """Yield prompts, deltas and networks of a corpus."""
    with path.open() as file:
        for line in file:
            row = json.loads(line)
            yield row["prompt"]
            yield from row["deltas"]
            if "network" in row:
                yield row["network"]


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
