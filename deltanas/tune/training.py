"""One Lightning training of the adapter's weights on rendered examples."""

from __future__ import annotations

import logging
import math
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from transformers import PreTrainedModel

from deltanas.tune.objectives.base import Objective, Scores
from deltanas.tune.objectives.sft import Sft
from deltanas.tune.packing import Piece, packed_attention
from deltanas.tune.scoring import log_probabilities
from deltanas.tune.steps import Step, Steps

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
    dropout: float  # on the adapter's input, in [0, 1); of an objective that compares 0
    targets: tuple[str, ...]  # names of the layers that it adapts
    lr: float  # AdamW, constant, > 0
    weight_decay: float
    epochs: int  # passes over the training pairs a cycle
    batch: int  # pairs a forward pass; more where they are short
    accumulate: int  # batches an optimizer step
    gradient_clip: float = 1.0  # largest L2 norm of the gradients; nn-gpt's trainer uses the same


class LoraModule(lightning.LightningModule):
    """The adapter in training.

    The LLM is held outside the module tree: Lightning moves what is inside to the CPU after
    every fit, and the LLM stays on its device from cycle to cycle.
    """

    def __init__(self, llm: PreTrainedModel, settings: LoraSettings, objective: Objective) -> None:
        super().__init__()
        self.outside = (llm,)  # torch registers modules, not tuples of them
        self.settings, self.objective = settings, objective
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

    def training_step(self, step: Step, batch_idx: int) -> None:
        """Take one optimizer step on the mean loss of all its rows."""
        optimizer = self.optimizers()
        if not isinstance(optimizer, LightningOptimizer):
            raise TypeError(f"one optimizer is configured, not {optimizer!r}")
        for loss in self.losses(step):
            value = loss.item()
            if not math.isfinite(value):
                raise DivergedError(
                    f"the loss became {value} at step {batch_idx + 1},"
                    f" epoch {self.current_epoch + 1}"
                )
            self.manual_backward(loss)
        optimizer.step()
        optimizer.zero_grad()

    def losses(self, step: Step) -> Iterator[Tensor]:
        """Yield the loss of every row; their sum is the step's, the mean of all that it holds."""
        drift = self._drift(step)
        for row in step.rows:
            objective = Sft() if row.real else self.objective
            policy = log_probabilities(self.outside[0], row.packed)
            scores = Scores(row.lengths, row.weights, policy, row.reference, row.before, drift)
            yield objective.loss(scores) / row.divisor

    @torch.no_grad()
    def _drift(self, step: Step) -> float:
        """Return how much likelier than the reference answers to other prompts are; 0 or more."""
        answers = sum(len(row.segments) for row in step.apart)
        if not answers:
            return 0.0
        policy = sum(log_probabilities(self.outside[0], row).sum().item() for row in step.apart)
        return max(0.0, (policy - step.apart_reference) / answers)


def fit(
    llm: PreTrainedModel,
    pieces: Sequence[Piece],
    settings: LoraSettings,
    objective: Objective,
    *,
    max_tokens: int,
    seed: int,
) -> int:
    """Train the LLM's trainable weights, which are its adapter's; return the optimizer steps.

    A step takes `batch * accumulate` pieces, in passes of at most `batch * max_tokens` tokens
    unless a piece alone has more.
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
        module = LoraModule(llm, settings, objective)
        steps = Steps(
            pieces,
            objective,
            batch=settings.batch,
            accumulate=settings.accumulate,
            max_tokens=max_tokens,
            seed=seed,
        )
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
