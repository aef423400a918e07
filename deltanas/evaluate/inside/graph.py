"""What a network computes, as one hash: its operators, their constants, and what feeds what.

Everything that constructor and forward pass do to tensors is recorded, so that a parameter is what
its initialiser made it. A hash tells of what the output depends on and of nothing else: no names,
no order of definitions, no operation without effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_UNKNOWN = -1  # in place of a node: where a tensor came from, or what an argument is
_FROM_VALUES = frozenset({torch.tensor, torch.as_tensor, torch.asarray})
_PLAIN = (bool, int, float, complex, str, torch.dtype, torch.layout, torch.memory_format)
_NAMELESS = (torch.device, torch.Generator)  # where, and by which generator: not what


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records operators as nodes; each storage has the node that last wrote it, and which part.

    Views share a storage with what they show, so that they need no node: an input of a node is
    a storage's state, seen through shape, strides and offset.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._nodes: list[tuple[tuple[Any, ...], list[int]]] = []  # what it is, and its inputs
        # by address, which no other storage gets while there is a weak reference
        self._states: dict[int, tuple[int, int, StorageWeakRef]] = {}
        self._began = 0  # the first node of the forward pass
        self._asked = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        named: Mapping[str, Any] = kwargs or {}
        inputs: list[int] = []
        muted = self._began and not torch.is_grad_enabled()
        said = self._told(args, inputs), self._told(tuple(named.items()), inputs)
        result = func(*args, **named)
        self._asked |= func is torch.ops.aten._local_scalar_dense.default
        number = self._add(("muted" if muted else "", func, *said), inputs)
        if func is torch.ops.aten.detach.default:  # no view to those who ask for gradients
            self._set(result, number, 0)
        for place, tensor in enumerate(_written(func, args, named)):
            self._set(tensor, number, ~place)
        for place, tensor in enumerate(_tensors(result)):
            if _has_storage(tensor) and tensor.untyped_storage()._cdata not in self._states:
                self._set(tensor, number, place)
        return result

    def begin(self, images: Tensor, parameters: Iterable[Tensor]) -> None:
        """Take note of what the forward pass begins with, and of which tensors learn.

        From here on these ask for no gradients, so that gradients may be enabled and cost nothing:
        where a network disables them is part of its graph.
        """
        self._began = self._add(("images",), [])
        self._set(images, self._began, 0)
        with torch._C.DisableTorchFunction():
            for each in parameters:
                if each.requires_grad:
                    inputs: list[int] = []
                    said = self._told(each, inputs)
                    self._set(each, self._add(("learns", said), inputs), 0)
                    each.requires_grad = False

    def set_constant(self, tensor: Tensor, values: str) -> None:
        """Take note of a digest of the values of a tensor that does not depend on any other."""
        self._set(tensor, self._add(("constant", values), []), 0)

    def hash(self, output: Tensor, buffers: Iterable[Tensor]) -> str | None:
        """Return 32 hexadecimal digits for the output and the buffers that forward has changed.

        None where that depends on values of tensors, or on what was made out of sight.
        """
        numbers: dict[int, int] = {}
        text = self._text(output, numbers)
        changed = (each for each in buffers if self._began <= self._state(each)[0])
        effects = [self._text(each, dict(numbers)) for each in changed]
        known = [each for each in effects if each is not None]
        if self._asked or text is None or len(known) < len(effects):
            return None
        return hashlib.sha256("\n\n".join([text, *sorted(known)]).encode()).hexdigest()[:32]

    def _add(self, node: tuple[Any, ...], inputs: list[int]) -> int:
        self._nodes.append((node, inputs))
        return len(self._nodes) - 1

    def _set(self, tensor: Tensor, number: int, place: int) -> None:
        if _has_storage(tensor):
            storage = tensor.untyped_storage()
            alive = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
            self._states[storage._cdata] = number, place, alive

    def _told(self, value: Any, inputs: list[int]) -> Any:
        """Return an argument as constants; of its tensors, append the nodes to `inputs`."""
        if isinstance(value, Tensor):
            number, place = self._state(value)
            inputs.append(number)
            seen = value.shape, value.stride(), value.storage_offset(), value.dtype
            return (place, *seen, value.is_conj(), value.is_neg())
        if isinstance(value, list | tuple):
            return tuple([self._told(each, inputs) for each in value])
        if value is None or isinstance(value, _PLAIN):
            return value
        if not isinstance(value, _NAMELESS):
            inputs.append(_UNKNOWN)
        return type(value).__name__

    def _state(self, tensor: Tensor) -> tuple[int, int]:
        """Return which node wrote a tensor's storage last, and as which of its outputs."""
        if not _has_storage(tensor):
            return _UNKNOWN, 0
        storage = tensor.untyped_storage()
        state = self._states.get(storage._cdata)
        if state is None:
            if tensor.is_meta:
                return _UNKNOWN, 0
            whole = torch.empty(0, dtype=torch.uint8).set_(storage)
            self.set_constant(tensor, _digest(whole))
            state = self._states[storage._cdata]
        return state[:2]

    def _text(self, root: Tensor, numbers: dict[int, int]) -> str | None:
        """Return what a tensor was made of, from its last node back; None where that is unknown.

        Nodes are numbered as they are met, so that the order in which they ran does not show;
        those that have `numbers` already are told by these.
        """
        needed: list[int] = []
        lines = [repr(self._told(root, needed))]
        waiting = needed[:]
        while waiting:
            number = waiting[-1]
            if number == _UNKNOWN:
                return None
            node, inputs = self._nodes[number]
            missing = [each for each in inputs if each not in numbers]
            if missing and number not in numbers:
                waiting += reversed(missing)
                continue
            waiting.pop()
            if number not in numbers:
                numbers[number] = len(numbers)
                lines.append(f"{node} {[numbers[each] for each in inputs]}")
        return "\n".join([*lines, str([numbers[each] for each in needed])])


class _Constants(TorchFunctionMode):
    """Tells a recorder the values of tensors made of numbers, which the meta device drops."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if func in _FROM_VALUES and made.is_meta and not any(map(torch.is_tensor, args)):
            with torch._C._DisableTorchDispatch():
                values = _digest(func(*args, **{**(kwargs or {}), "device": "cpu"}))
            self._recorder.set_constant(made, values)
        return made


@contextmanager
def recording() -> Iterator[Recorder]:
    """Record what is done to tensors inside, in this thread."""
    recorder = Recorder()
    with recorder, _Constants(recorder):
        yield recorder


def _digest(values: Tensor) -> str:
    """Return a hash of the bytes of a tensor on the CPU."""
    flat = values.detach().reshape(-1).view(torch.uint8)
    return hashlib.sha256(flat.numpy().tobytes()).hexdigest()


def _has_storage(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_nested


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in arguments or a result, however they are nested."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _written(func: Any, args: tuple[Any, ...], named: Mapping[str, Any]) -> Iterator[Tensor]:
    """Yield the tensors that an operator writes to."""
    for place, name in _written_arguments(func):
        value = named.get(name) if place >= len(args) else args[place]
        yield from _tensors(value)


@cache
def _written_arguments(func: Any) -> tuple[tuple[int, str], ...]:
    return tuple(
        (place, argument.name)
        for place, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )
