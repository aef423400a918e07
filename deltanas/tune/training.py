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
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import PreTrainedModel

from deltanas.tune.packing import (
    Example,
    PackedRow,
    fill,
    pack,
    packed_attention,
    siblings_together,
)

_PRECISION: dict[torch.dtype, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    torch.float32: "32-true",
    torch.bfloat16: "bf16-mixed",
    torch.float16: "16-mixed",
}


class DivergedError(ArithmeticError):
    """The training loss became NaN or infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """How an adapter is trained; the paper's figures are the configuration's defaults."""

    r: int  # rank, > 0
    alpha: int  # the adapter's output is scaled by alpha / r
    dropout: float  # on the adapter's input, in [0, 1)
    targets: tuple[str, ...]  # names of the layers that it adapts
    lr: float  # AdamW, constant, > 0
    weight_decay: float
    epochs: int  # passes over the training pairs a cycle
    batch: int  # pairs a forward pass; more where they are short
    accumulate: int  # batches an optimizer step
    gradient_clip: float = 1.0  # largest L2 norm of the gradients; nn-gpt's trainer uses the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What one forward pass may hold."""

    tokens: int
    targets: int

    @classmethod
    def of(cls, examples: Sequence[Example], batch: int, max_tokens: int) -> Room:
        """Return room for `batch` examples, be they the longest: short ones find more room."""
        longest = max(len(tokens) - start for tokens, start in examples)
        return cls(tokens=batch * max_tokens, targets=batch * longest)

    def rows(self, examples: Sequence[Example]) -> Iterator[PackedRow]:
        """Yield the examples packed, in their order."""
        return map(pack, fill(examples, most_tokens=self.tokens, most_targets=self.targets))


class Steps:
    """The rows of every optimizer step, in a new random order every epoch."""

    def __init__(
        self, examples: Sequence[Example], settings: LoraSettings, *, max_tokens: int, seed: int
    ) -> None:
        self.examples = list(examples)
        self.pairs = settings.batch * settings.accumulate
        self.room = Room.of(examples, settings.batch, max_tokens)
        self.rng = random.Random(seed)

    def __len__(self) -> int:
        return math.ceil(len(self.examples) / self.pairs)

    def __iter__(self) -> Iterator[list[PackedRow]]:
        order = siblings_together(self.examples, self.rng)
        for start in range(0, len(order), self.pairs):
            yield list(self.room.rows(order[start : start + self.pairs]))


def answer_loss(llm: PreTrainedModel, row: PackedRow) -> Tensor:
    """Return the sum of the cross-entropy of all answers' tokens, in nats."""
    logits = llm(
        input_ids=row.tokens,
        position_ids=row.positions,
        use_cache=False,
        logits_to_keep=row.kept,
        segments=row.segments,
    ).logits  # (1, K, V)
    return F.cross_entropy(logits[0].float(), row.targets, reduction="sum")


@torch.no_grad()
def held_out_loss(
    llm: PreTrainedModel, examples: Sequence[Example], *, batch: int, max_tokens: int
) -> float:
    """Return the mean loss per answer token in nats, without dropout; NaN stays NaN."""
    llm.train(False)
    room = Room.of(examples, batch, max_tokens)
    total = 0.0
    with packed_attention(llm):
        for row in room.rows(siblings_together(examples, None)):
            total += answer_loss(llm, move_data_to_device(row, llm.device)).item()
    return total / sum(len(tokens) - start for tokens, start in examples)


class LoraModule(lightning.LightningModule):
    """The adapter in training.

    The LLM is held outside the module tree: Lightning moves what is inside to the CPU after
    every fit, and the LLM stays on its device from cycle to cycle.
    """

    def __init__(self, llm: PreTrainedModel, settings: LoraSettings) -> None:
        super().__init__()
        self.outside = (llm,)  # torch registers modules, not tuples of them
        self.settings = settings
        self.automatic_optimization = False  # the rows of a step differ in number

    def configure_optimizers(self) -> torch.optim.Optimizer:
        weights = [weight for weight in self.outside[0].parameters() if weight.requires_grad]
        return torch.optim.AdamW(
            weights, lr=self.settings.lr, weight_decay=self.settings.weight_decay
        )

    def on_train_start(self) -> None:
        self.outside[0].train()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.clip_gradients(optimizer, gradient_clip_val=self.settings.gradient_clip)

    def training_step(self, rows: Sequence[PackedRow], batch_idx: int) -> None:
        """Take one optimizer step on the mean loss of all its answers' tokens."""
        optimizer = self.optimizers()
        if not isinstance(optimizer, LightningOptimizer):
            raise TypeError(f"one optimizer is configured, not {optimizer!r}")
        count = sum(len(row.targets) for row in rows)
        for row in rows:
            loss = answer_loss(self.outside[0], row) / count
            value = loss.item()
            if not math.isfinite(value):
                raise DivergedError(
                    f"the loss became {value} at step {batch_idx + 1},"
                    f" epoch {self.current_epoch + 1}"
                )
            self.manual_backward(loss)
        optimizer.step()
        optimizer.zero_grad()


def fit(
    llm: PreTrainedModel,
    examples: Sequence[Example],
    settings: LoraSettings,
    *,
    max_tokens: int,
    seed: int,
) -> int:
    """Train the LLM's trainable weights, which are its adapter's; return the optimizer steps.

    A step takes `batch * accumulate` examples, in passes of at most `batch * max_tokens` tokens.
    Draws from torch's global generators (dropout); the LLM is left in training mode.
    Raises DivergedError at the first loss that is not finite.
    """
    with _quiet():
        trainer = lightning.Trainer(
            accelerator="gpu" if llm.device.type == "cuda" else llm.device.type,
            devices=[llm.device.index or 0] if llm.device.type == "cuda" else 1,
            precision=_PRECISION[llm.dtype],
            max_epochs=settings.epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        module = LoraModule(llm, settings)
        steps = Steps(examples, settings, max_tokens=max_tokens, seed=seed)
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            with packed_attention(llm):
                trainer.fit(module, steps)
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
