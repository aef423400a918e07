"""Training of one candidate in the jail.

Loop, optimizer, loss and data belong to the framework, and the candidate is only a module, unless
the job asks for the candidate's own loop. Which images it answers for is never its own choice.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning
import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.parameter import is_lazy

from deltanas.evaluate.channel import PROBABILITIES, probe_images
from deltanas.evaluate.inside.network import Refusal, blame, build, check_logits
from deltanas.evaluate.inside.training_data import TrainingBatches, TrainingData
from deltanas.records import Job, Loop, Precision, Recipe, Verdict

GRADIENT_CLIP = 3.0  # largest L2 norm of the gradients; LEMUR's trainer uses the same
_ROUNDING = 1e-2  # far above what the sum of a softmax is off by
_HALF_MAX = 65504.0  # largest finite float16
_EVALUATION_PIXELS = 2**18  # per batch: without gradients, larger batches fit the same memory


class CandidateModule(lightning.LightningModule):
    """One candidate in training; its logits gather here, epoch by epoch, as float16 bytes."""

    def __init__(
        self, network: nn.Module, recipe: Recipe, data: TrainingData, epochs: int
    ) -> None:
        super().__init__()
        self.epochs = epochs
        self.network = network
        self.autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
        self.recipe = recipe
        self.data = data
        self.val_logits: list[bytes] = []  # one (N_val, num_classes) block per epoch
        self.test_logits: list[bytes] = []  # after the first and, if another, the last epoch
        self.probe_logits = b""  # of some validation images again, after the last epoch
        self.soft = True  # so far every answer was a distribution over classes

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            self.network.parameters(), lr=self.recipe.lr, momentum=self.recipe.momentum
        )

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch  # (B, C, S, S) float32; (B,) int64
        with self.autocast():
            logits = self.network(images)
        logits = check_logits(logits, len(images), self.data.num_classes)
        loss = F.cross_entropy(logits.float(), labels)
        value = loss.item()
        if not math.isfinite(value):
            place = f"step {batch_idx + 1}, epoch {len(self.val_logits) + 1}"
            raise Refusal(Verdict.DIVERGED, f"the loss became {value} at {place}")
        return loss

    def answer(self, epoch: int) -> None:
        """Collect the logits that are due after an epoch, counted from 0."""
        self.val_logits.append(self.predict(self.data.val_rows))
        last = epoch + 1 == self.epochs
        if epoch == 0 or last:
            self.test_logits.append(self.predict(self.data.test_rows))
        chosen = probe_images(len(self.data.val_rows))
        if last and chosen:
            rows = self.data.val_rows[list(chosen)]
            self.probe_logits = self.predict(rows, at_most=(len(rows) + 1) // 2)

    @torch.no_grad()
    def predict(self, rows: Tensor, at_most: int | None = None) -> bytes:
        """Return the logits of the images at some rows as (N, num_classes) float16 bytes.

        Each row is shifted to have its largest at 0: that changes no answer and keeps half
        precision where it decides. NaN stays NaN. `at_most` caps the images of a batch.
        """
        self.network.eval()
        blocks = []
        at_once = max(self.recipe.batch, _EVALUATION_PIXELS // self.recipe.image_size**2)
        at_once = min(at_once, max(2, at_most or at_once))
        for start in range(0, len(rows), at_once):
            chunk = rows[start : start + at_once]
            with self.autocast():
                logits = self.network(self.data.prepare(chunk, self.recipe))
            logits = check_logits(logits, len(chunk), self.data.num_classes).float()
            sums = logits.sum(dim=1)
            self.soft &= bool((logits >= 0).all() and ((sums - 1).abs() < _ROUNDING).all())
            shifted = logits - logits.amax(dim=1, keepdim=True)
            blocks.append(shifted.clamp(min=-_HALF_MAX).half().cpu().numpy().tobytes())
        self.network.train()
        return b"".join(blocks)


def train(
    network_class: type[nn.Module], job: Job, data: TrainingData, device: torch.device
) -> tuple[bytes, str]:
    """Train a new network as its job says; return raw float16 logits, and what may mend it.

    With weights in the job it gets these instead. Where they are asked for, its own follow the
    logits.

    The logits are first those of the validation images after every epoch, then those of the test
    images after the first and, where there is another, the last epoch, and then those of
    `probe_images`, in other batches. Raises Refusal.
    """
    recipe = job.recipe
    torch.manual_seed(job.seed)
    random.seed(job.seed)
    np.random.seed(job.seed % 2**32)
    network = build(
        network_class,
        recipe,
        channels=data.channels,
        num_classes=data.num_classes,
        device=device,
    )
    with blame(Verdict.SHAPE, "training fails"):
        order = torch.channels_last if job.channels_last else torch.contiguous_format
        data = data.on(device, order)
        network.to(device)
        if any(is_lazy(parameter) for parameter in network.parameters()):
            with torch.no_grad():
                network(data.prepare(data.train_rows[:2], recipe))
        if job.channels_last:
            _reorder(network)
        module = CandidateModule(network, recipe, data, job.epochs)
        if job.weights:
            network.load_state_dict(load(job.weights))
            module.answer(job.epochs - 1)
        else:
            batches = TrainingBatches(data, recipe, torch.Generator().manual_seed(job.seed))
            _LOOPS[job.loop](module, batches, job.precision)
        weights = _weights_of(network) if job.keep_weights else b""
    hint = PROBABILITIES if module.soft and job.loop != Loop.own else ""
    logits = [*module.val_logits, *module.test_logits, module.probe_logits]
    return b"".join([*logits, weights]), hint


def _weights_of(network: nn.Module) -> bytes:
    """Return the state of a network in safetensors' format; what is shared is written twice."""
    state = network.state_dict()
    other = sorted(name for name, value in state.items() if not isinstance(value, Tensor))
    if other:
        raise ValueError(f"the state {other[0]} is no tensor, and only tensors are weights")
    return save({name: value.cpu().contiguous().clone() for name, value in state.items()})


def _reorder(network: nn.Module) -> None:
    """Lay the weights of two-dimensional convolutions out as the images are."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _trusted(module: CandidateModule, batches: TrainingBatches, precision: Precision) -> None:
    """Train by Lightning's Fabric: cheaper than its Trainer (benchmarks/evaluation.py)."""
    fabric = lightning.Fabric(
        accelerator=batches.data.pixels.device.type,
        devices=1,
        precision="bf16-mixed" if precision == Precision.bfloat16 else "32-true",
    )
    module.autocast = fabric.autocast
    stepped, optimizer = fabric.setup(module, module.configure_optimizers())
    for epoch in range(module.epochs):
        module.train()
        for number, batch in enumerate(batches):
            optimizer.zero_grad()
            fabric.backward(stepped.training_step(batch, number))
            fabric.clip_gradients(stepped, optimizer, max_norm=GRADIENT_CLIP)
            optimizer.step()
        module.answer(epoch)


def _own(module: CandidateModule, batches: TrainingBatches, _: Precision) -> None:
    """Let the network train itself, as LEMUR's trainer does; the answers are collected here."""
    network: Any = module.network
    with blame(Verdict.BUILD, "train_setup fails"):
        network.train_setup(module.recipe.hyperparameters())
    for epoch in range(module.epochs):
        network.train()
        with blame(Verdict.SHAPE, "learn fails"):
            network.learn(batches)
        module.answer(epoch)


def _calibration(module: CandidateModule, batches: TrainingBatches, _: Precision) -> None:
    """Take the steps that an honest `learn` takes, without Lightning, which is not in it either.

    What they cost is measured from outside; what they lead to, divergence included, is not used.
    """
    network: Any = module.network
    with blame(Verdict.BUILD, "train_setup fails"):
        network.train_setup(module.recipe.hyperparameters())
    optimizer = module.configure_optimizers()
    for epoch in range(module.epochs):
        network.train()
        for images, labels in batches:
            optimizer.zero_grad()
            logits = check_logits(network(images), len(images), module.data.num_classes)
            loss = F.cross_entropy(logits, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_CLIP)
            optimizer.step()
        module.answer(epoch)


_LOOPS: dict[Loop, Callable[[CandidateModule, TrainingBatches, Precision], None]] = {
    Loop.trusted: _trusted,
    Loop.own: _own,
    Loop.calibration: _calibration,
}
