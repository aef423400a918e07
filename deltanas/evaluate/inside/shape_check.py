"""Does a network build, and does it map images to logits? Asked on torch's meta device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from deltanas.evaluate.channel import Limits
from deltanas.evaluate.inside.graph import recording
from deltanas.evaluate.inside.network import Refusal, blame, build, check_logits, input_type
from deltanas.records import Recipe, Verdict

ROWS = 2  # images in the check; a single one would upset batch normalisation


class Measured(NamedTuple):
    """What the check tells of a network of the right shape."""

    parameters: int
    macs: int  # multiply-accumulates of one image
    graph: str | None  # hash; None: it was not asked for, or the network cannot be traced


def measure(
    network_class: type[nn.Module],
    recipe: Recipe,
    *,
    channels: int,
    num_classes: int,
    limits: Limits,
    trace: bool = False,
) -> Measured:
    """Return the sizes of a network of the right shape and, to `trace`, the hash of its graph.

    Runs constructor, `train_setup` and one forward pass in training mode. Where the meta device
    cannot tell (an operator needs values), the same runs on the CPU. Raises Refusal, also for a
    network above the limits.
    """
    asked: list[str] = []
    try:
        with _valueless(asked), torch.device("meta"):
            found = _measure_on("meta", network_class, recipe, channels, num_classes, trace)
            if asked:  # what a guess led to is not all that the network computes
                found = found._replace(graph=None)
    except Refusal as refusal:
        if not asked and not _is_inconclusive(refusal):
            raise
        found = _measure_on("cpu", network_class, recipe, channels, num_classes, trace)
    for size, limit, unit in (
        (found.parameters, limits.max_parameters, "parameters"),
        (found.macs, limits.max_macs, "multiply-accumulates per image"),
    ):
        if size > limit:
            raise Refusal(
                Verdict.TOO_LARGE, f"the network has {size:,} {unit}; the limit is {limit:,}"
            )
    return found


def _measure_on(
    device: str,
    network_class: type[nn.Module],
    recipe: Recipe,
    channels: int,
    num_classes: int,
    trace: bool,
) -> Measured:
    with ExitStack() as stack:
        recorder = stack.enter_context(recording()) if trace else None
        network: Any = build(
            network_class,
            recipe,
            channels=channels,
            num_classes=num_classes,
            device=torch.device(device),
        )
        with blame(Verdict.BUILD, "train_setup fails"):
            network.train_setup(recipe.hyperparameters())
        size = recipe.image_size
        images = torch.zeros(ROWS, channels, size, size, dtype=input_type(recipe), device=device)
        if recorder:
            recorder.begin(images, network.parameters())
        with (
            torch.set_grad_enabled(trace),
            FlopCounterMode(display=False) as counter,
            blame(Verdict.SHAPE, "forward fails"),
        ):
            logits = network(images)
    output = check_logits(logits, ROWS, num_classes)
    return Measured(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        macs=counter.get_total_flops() // (2 * ROWS),
        graph=recorder.hash(output, network.buffers()) if recorder else None,
    )


def _is_inconclusive(refusal: Refusal) -> bool:
    """Tell whether the meta device is at fault rather than the network."""
    cause = refusal.__cause__
    return isinstance(cause, NotImplementedError) or "meta" in str(cause).lower()


@contextmanager
def _valueless(asked: list[str]) -> Iterator[None]:
    """Let networks move between devices and ask tensors for values that meta tensors do not have.

    Every value asked for is noted in `asked`: a failure after a guess proves nothing.
    """

    def stay(self: nn.Module, *_: object, **__: object) -> nn.Module:
        return self

    def to(self: nn.Module, *arguments: Any, **options: Any) -> nn.Module:
        torch._C._nn._parse_to(*arguments, **options)  # raises what `Module.to` would
        return self

    def guess(name: str, value: float) -> Callable[[Tensor], Any]:
        original = getattr(Tensor, name)

        def method(self: Tensor) -> Any:
            if not self.is_meta:
                return original(self)
            asked.append(name)
            return value

        return method

    with ExitStack() as patches:
        for name, move in (("to", to), ("cuda", stay), ("cpu", stay)):
            patches.enter_context(patch.object(nn.Module, name, move))
        for name, value in (("item", 1.0), ("__bool__", True), ("__float__", 1.0)):
            patches.enter_context(patch.object(Tensor, name, guess(name, value)))
        yield
