"""One Lightning training of the adapter's weights on rendered examples."""

from __future__ import annotations

import logging
import math
import random
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import lightning
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import PreTrainedModel

_IGNORED = -100  # a target that does not count, as cross_entropy names it
_PRECISION: dict[torch.dtype, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    torch.float32: "32-true",
    torch.bfloat16: "bf16-mixed",
    torch.float16: "16-mixed",
}

Batch = tuple[Tensor, Tensor]  # tokens (B, T); targets of the last K positions (B, K); int64
Example = tuple[list[int], int]  # tokens, index of the answer's first


class DivergedError(ArithmeticError):
    """The training loss became NaN or infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """How an adapter is trained; the defaults are the paper's (arXiv 2605.04903).

    The paper adapts `lm_head` too, which the defaults leave out: its adapter is the largest, and
    where input and output embeddings are tied it cannot be merged into the weights.
    """

    r: int = 32  # rank, > 0
    alpha: int = 32  # the adapter's output is scaled by alpha / r
    dropout: float = 0.05  # on the adapter's input, in [0, 1)
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    lr: float = 1e-5  # AdamW, constant, > 0
    weight_decay: float = 0.01
    epochs: int = 3  # passes over the training pairs a cycle
    batch: int = 1  # pairs a forward pass
    accumulate: int = 8  # forward passes an optimizer step
    gradient_clip: float = 1.0  # largest L2 norm of the gradients; nn-gpt's trainer uses the same


class Batches:
    """Examples in batches, padded on the right; with a seed, in a new random order every epoch."""

    def __init__(self, examples: Sequence[Example], size: int, seed: int | None = None) -> None:
        self.examples = list(examples)
        self.size = size
        self.rng = None if seed is None else random.Random(seed)

    def __len__(self) -> int:
        return math.ceil(len(self.examples) / self.size)

    def __iter__(self) -> Iterator[Batch]:
        order = self.examples.copy()
        if self.rng is not None:
            self.rng.shuffle(order)
        for start in range(0, len(order), self.size):
            yield collate(order[start : start + self.size])


def collate(examples: Sequence[Example]) -> Batch:
    """Return tokens (B, T) and targets (B, K), where only tokens of an answer are targets.

    K reaches from the earliest answer to the end. Padding is on the right, where causal
    attention hides it from every real token, so no attention mask is needed and its token id
    does not matter.
    """
    length = max(len(tokens) for tokens, _ in examples)
    first = min(start for _, start in examples)
    inputs = torch.zeros(len(examples), length, dtype=torch.int64)
    targets = torch.full((len(examples), length), _IGNORED, dtype=torch.int64)
    for row, (tokens, start) in enumerate(examples):
        inputs[row, : len(tokens)] = torch.tensor(tokens)
        targets[row, start : len(tokens)] = torch.tensor(tokens[start:])
    return inputs, targets[:, first:]


def answer_loss(llm: PreTrainedModel, batch: Batch, *, reduction: str = "mean") -> Tensor:
    """Return the cross-entropy of the answers' tokens in nats, their mean or their sum."""
    inputs, targets = batch  # (B, T), (B, K)
    kept = targets.shape[1] + 1  # the position before the first target predicts it
    logits = llm(input_ids=inputs, use_cache=False, logits_to_keep=kept).logits  # (B, K + 1, V)
    return F.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), targets.flatten(), reduction=reduction
    )


@torch.no_grad()
def held_out_loss(llm: PreTrainedModel, examples: Sequence[Example], batch: int) -> float:
    """Return the mean loss per answer token in nats, without dropout; NaN stays NaN."""
    llm.train(False)
    total = 0.0
    for inputs, targets in Batches(examples, batch):
        moved = (inputs.to(llm.device), targets.to(llm.device))
        total += answer_loss(llm, moved, reduction="sum").item()
    return total / sum(len(tokens) - start for tokens, start in examples)


class LoraModule(lightning.LightningModule):
    """The adapter in training.

    The LLM is held outside the module tree: Lightning moves what is inside to the CPU after
    every fit, and the LLM stays on its device from cycle to cycle.
    """

    def __init__(self, llm: PreTrainedModel, *, lr: float, weight_decay: float) -> None:
        super().__init__()
        self.outside = (llm,)  # torch registers modules, not tuples of them
        self.lr = lr
        self.weight_decay = weight_decay

    def configure_optimizers(self) -> torch.optim.Optimizer:
        weights = [weight for weight in self.outside[0].parameters() if weight.requires_grad]
        return torch.optim.AdamW(weights, lr=self.lr, weight_decay=self.weight_decay)

    def on_train_start(self) -> None:
        self.outside[0].train()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = answer_loss(self.outside[0], batch)
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(
                f"the loss became {value} at batch {batch_idx + 1}, epoch {self.current_epoch + 1}"
            )
        return loss


def fit(
    llm: PreTrainedModel, examples: Sequence[Example], settings: LoraSettings, *, seed: int
) -> int:
    """Train the LLM's trainable weights, which are its adapter's; return the optimizer steps.

    Draws from torch's global generators (dropout); the LLM is left in training mode.
    Raises DivergedError at the first loss that is not finite.
    """
    with _quiet():
        trainer = lightning.Trainer(
            accelerator="gpu" if llm.device.type == "cuda" else llm.device.type,
            devices=[llm.device.index or 0] if llm.device.type == "cuda" else 1,
            precision=_PRECISION[llm.dtype],
            max_epochs=settings.epochs,
            accumulate_grad_batches=settings.accumulate,
            gradient_clip_val=settings.gradient_clip,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        module = LoraModule(llm, lr=settings.lr, weight_decay=settings.weight_decay)
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(module, Batches(examples, settings.batch, seed))
        except SystemExit as leaving:
            if not isinstance(leaving.__context__, KeyboardInterrupt):
                raise
            signal.signal(signal.SIGINT, on_interrupt)
            # Lightning ignores further Ctrl-C and leaves the program; that is ours to decide.
            raise KeyboardInterrupt from leaving
    return int(trainer.global_step)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's notes about devices, its tips and its age out of the run's output."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 asks torch for a name that torch 2.15 calls deprecated.
            warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
            yield
    finally:
        log.setLevel(level)
