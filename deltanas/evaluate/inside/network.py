"""Candidate source to a live network, inside the jail; whatever it raises becomes a Refusal."""

from __future__ import annotations

import linecache
import re
import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from deltanas.records import Recipe, Scaling, Verdict

FILENAME = "<candidate>"
REASON_CAP = 300  # characters
_PATH = re.compile(r"(?<![\w.])(?:/[\w.@+-]+){2,}")
_MEMORY_SIGNS = (
    "can't allocate memory",
    "out of memory",
    "bad_alloc",
    "Cannot allocate memory",
    "STATUS_ALLOC_FAILED",  # of cuBLAS and cuDNN
    "CUBLAS_STATUS_NOT_INITIALIZED",
)


class Refusal(Exception):
    """The network got no further: the verdict, and one sentence with the values at fault."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.reason = reason[:REASON_CAP]


@contextmanager
def blame(verdict: Verdict, what: str) -> Iterator[None]:
    """Turn whatever candidate code raises, SystemExit included, into a Refusal about `what`."""
    try:
        yield
    except Refusal:
        raise
    except BaseException as error:
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in _MEMORY_SIGNS):
            verdict = Verdict.OUT_OF_MEMORY
        raise Refusal(verdict, f"{what}: {_sentence(error)}") from error


def load_class(code: str) -> type[nn.Module]:
    """Run the candidate's module and return its class `Net`. Raises Refusal."""
    linecache.cache[FILENAME] = (len(code), None, code.splitlines(keepends=True), FILENAME)
    module = types.ModuleType("candidate")
    sys.modules[module.__name__] = module
    with blame(Verdict.SYNTAX, "the file does not compile"):
        compiled = compile(code, FILENAME, "exec", dont_inherit=True)
    with blame(Verdict.BUILD, "the file fails at import"):
        exec(compiled, module.__dict__)
    found = module.__dict__.get("Net")
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise Refusal(
            Verdict.INTERFACE, f"Net is {type(found).__name__}; it must be a class of nn.Module"
        )
    return found


def build(
    network_class: type[nn.Module],
    recipe: Recipe,
    *,
    channels: int,
    num_classes: int,
    device: torch.device,
) -> nn.Module:
    """Return `Net(in_shape, out_shape, prm, device)` in training mode. Raises Refusal."""
    in_shape = (recipe.batch, channels, recipe.image_size, recipe.image_size)
    with blame(Verdict.BUILD, "Net cannot be built"):
        network = network_class(in_shape, (num_classes,), recipe.hyperparameters(), device)
        return network.train()


def input_type(recipe: Recipe) -> torch.dtype:
    """Return the type of the images that a recipe hands to a network."""
    return torch.complex64 if recipe.scaling == Scaling.complex else torch.float32


def check_logits(logits: object, rows: int, num_classes: int) -> Tensor:
    """Return the logits if they are one floating-point (rows, num_classes) tensor, else refuse."""
    if not isinstance(logits, Tensor):
        raise Refusal(
            Verdict.SHAPE,
            f"forward returned {type(logits).__name__}; it must return one tensor of logits",
        )
    if logits.shape != (rows, num_classes) or not logits.is_floating_point():
        raise Refusal(
            Verdict.SHAPE,
            f"forward maps {rows} images to shape {tuple(logits.shape)} of {logits.dtype}; "
            f"it must be ({rows}, {num_classes}) of floating point",
        )
    return logits


def _sentence(error: BaseException) -> str:
    """Return type, text, layer and candidate line of an error, without paths of this machine."""
    text = _PATH.sub("<path>", " ".join(str(error).split()))
    layer = line = ""
    for frame, number in traceback.walk_tb(error.__traceback__):  # the innermost one wins
        module = frame.f_locals.get("self")
        if frame.f_code.co_filename == FILENAME:
            layer = ""
            line = f" (line {number}: {linecache.getline(FILENAME, number).strip()[:80]})"
        elif isinstance(module, nn.Module) and type(module).__module__.startswith("torch.nn."):
            layer = f" in {type(module).__name__}({_described(module)[:60]})"
    room = REASON_CAP - len(layer) - len(line) - 60
    return f"{type(error).__name__}: {text[:room]}{layer}{line}"


def _described(module: nn.Module) -> str:
    """Return the arguments of a layer; none where its constructor got no further."""
    try:
        return str(module.extra_repr())
    except AttributeError:
        return ""
