"""Edits of activation, normalisation and dropout layers, in one place or in all."""

from __future__ import annotations

import ast
from random import Random

from deltanas.propose.edits.calls import (
    ACTIVATIONS,
    CONVOLUTIONS,
    NORMS,
    argument,
    integer,
    kind,
)
from deltanas.propose.edits.pooled import pooled_calls
from deltanas.propose.edits.view import Container, Span, View, view_of

FUNCTIONAL = {
    "relu": "relu",
    "leaky_relu": "leaky_relu",
    "gelu": "gelu",
    "silu": "silu",
    "elu": "elu",
    "hardswish": "hardswish",
    "mish": "mish",
}


RATES = ("0.1", "0.15", "0.2", "0.25", "0.3", "0.4", "0.5")


def some(items: list[list[Span]], rng: Random, all_share: float) -> list[Span] | None:
    """Return one item's spans, or with probability `all_share` those of every item."""
    if not items:
        return None
    if len(items) > 1 and rng.random() < all_share:
        return [span for item in items for span in item]
    return rng.choice(items)


def activation(code: str, rng: Random) -> str | None:
    """Swap the activation in one place, or in all places at once."""
    view = view_of(code)
    new = rng.choice(("ReLU", "LeakyReLU", "GELU", "SiLU", "ELU", "Hardswish", "Mish"))
    items: list[list[Span]] = []
    for call in view.calls:
        name = kind(call)
        if name in ACTIVATIONS and name != new and view.prefix(call).endswith("nn."):
            items.append([view.swap(call, view.prefix(call) + new + _flag(call, new))])
        elif name in FUNCTIONAL and len(call.args) >= 1:
            prefix = view.prefix(call)
            other = {"LeakyReLU": "leaky_relu"}.get(new, new.lower())
            if prefix.endswith(("F.", "functional.")) and other != name:
                items.append([view.swap(call.func, prefix + other), *_bare(view, call)])
    spans = some(items, rng, 0.5)
    return view.replaced(spans) if spans else None


def _flag(call: ast.Call, new: str) -> str:
    """Return the arguments of the new activation: `inplace` survives where the new one has it."""
    where = {"LeakyReLU": 1, "ELU": 1, "CELU": 1}.get(kind(call), 0)
    node = argument(call, where, "inplace")
    inplace = isinstance(node, ast.Constant) and node.value is True
    return "(inplace=True)" if inplace and new != "GELU" else "()"


def _bare(view: View, call: ast.Call) -> list[Span]:
    """Return the span that drops every argument of a functional activation but the tensor."""
    if len(call.args) == 1 and not call.keywords:
        return []
    tensor, *others = [*call.args, *(k.value for k in call.keywords)]
    first = min(map(view.start, others))
    return [(view.closed(tensor, first), view.last_end(call), "")]


def normalisation(code: str, rng: Random) -> str | None:
    """Exchange, insert or remove normalisation layers; one, or all of them."""
    edits = [_exchange_norm, _insert_norm, _remove_norm]
    weights = [3, 4, 1]
    while edits:
        edit = rng.choices(edits, weights)[0]
        result = edit(view_of(code), rng)
        if result is not None:
            return result
        del weights[edits.index(edit)]
        edits.remove(edit)
    return None


def _group_count(width: int, wanted: int) -> int | None:
    """Return the largest usual group count up to the wanted one that divides the width."""
    counts = [g for g in (2, 4, 8, 16, 32) if width % g == 0 and width >= 2 * g and g <= wanted]
    return max(counts, default=None)


def _exchange_norm(view: View, rng: Random) -> str | None:
    target = rng.choices(("GroupNorm", "BatchNorm2d", "InstanceNorm2d"), (4, 3, 1))[0]
    wanted = rng.choice((4, 8, 16, 32))
    items: list[list[Span]] = []
    refused: set[Span] = set()
    pooled = pooled_calls(view) if target == "InstanceNorm2d" else set()  # of one pixel: no norm
    for call in view.calls:
        name = kind(call)
        if name not in NORMS - {"BatchNorm1d"} or name == target or not view.prefix(call):
            continue
        position, keyword = (1, "num_channels") if name == "GroupNorm" else (0, "num_features")
        node = argument(call, position, keyword)
        if node is None or isinstance(node, ast.Starred):
            continue
        width = view.text(node)
        if target == "GroupNorm":
            literal = integer(node)
            groups = 1 if literal is None else _group_count(literal, wanted)
            if groups is None:
                continue
            new = f"GroupNorm({groups}, {width})"
        elif target == "InstanceNorm2d":
            new = f"InstanceNorm2d({width}, affine=True)"
        else:
            new = f"BatchNorm2d({width})"
        items.append([view.swap(call, view.prefix(call) + new)])
        refused |= set(items[-1]) if id(call) in pooled else set()
    spans = [span for span in some(items, rng, 0.5) or [] if span not in refused]
    return view.replaced(spans) if spans else None


def _insert_norm(view: View, rng: Random) -> str | None:
    items: list[list[Span]] = []
    wanted = rng.choice((4, 8, 16, 32))
    form = rng.choices(("BatchNorm2d({0})", "GroupNorm({1}, {0})"), (3, 1))[0]
    for container in view.containers:
        for index, element in enumerate(container.elements):
            if kind(element) not in CONVOLUTIONS or not isinstance(element, ast.Call):
                continue
            following = container.elements[index + 1 : index + 2]
            node = argument(element, 1, "out_channels")
            width = integer(node)
            if width is None or any(
                "Norm" in kind(f) or isinstance(f, ast.Name) for f in following
            ):
                continue
            groups = _group_count(width, wanted)
            if groups is not None and view.prefix(element):
                layer = view.prefix(element) + form.format(width, groups)
                items.append([view.insertion(container, index, [layer])])
    spans = some(items, rng, 0.4)
    return view.replaced(spans) if spans else None


def _remove_norm(view: View, rng: Random) -> str | None:
    items: list[list[Span]] = []
    for container in view.containers:
        for index, element in enumerate(container.elements):
            if kind(element) in NORMS and len(container.elements) > 1:
                items.append([view.removal(container, index)])
    for call in view.calls:
        if (
            kind(call) in NORMS
            and isinstance(view.parents[call], ast.Assign)
            and view.prefix(call)
        ):
            items.append([view.swap(call, view.prefix(call) + "Identity()")])
    spans = some(items, rng, 0.0)
    return view.replaced(spans) if spans else None


def dropout(code: str, rng: Random) -> str | None:
    """Insert a dropout layer, change a literal rate, or remove a dropout layer."""
    view = view_of(code)
    inserted: list[list[Span]] = []
    others: list[list[Span]] = []
    for container in view.containers:
        for index, element in enumerate(container.elements):
            if not isinstance(element, ast.Call):
                continue
            if kind(element).startswith("Dropout"):
                if len(container.elements) > 1:
                    others.append([view.removal(container, index)])
            elif kind(element) in ACTIVATIONS and view.prefix(element):
                layer = _dropout_for(container, index, rng)
                following = container.elements[index + 1 : index + 2]
                if layer and not any(kind(f).startswith("Dropout") for f in following):
                    text = view.prefix(element) + layer
                    inserted.append([view.insertion(container, index, [text])])
    for call in view.calls:
        node = argument(call, 0, "p") if kind(call).startswith("Dropout") else None
        if isinstance(node, ast.Constant) and type(node.value) is float:
            rates = [rate for rate in RATES if float(rate) != node.value]
            others.append([view.swap(node, rng.choice(rates))])
    spans = some(inserted, rng, 0.3) if inserted and rng.random() < 0.6 else None
    spans = spans or some(others, rng, 0.0) or some(inserted, rng, 0.3)
    return view.replaced(spans) if spans else None


def _dropout_for(container: Container, index: int, rng: Random) -> str | None:
    for element in reversed(container.elements[:index]):
        if kind(element) in CONVOLUTIONS or kind(element).endswith("2d"):
            return f"Dropout2d({rng.choice(RATES[:5])})"
        if kind(element) == "Linear":
            return f"Dropout({rng.choice(RATES)})"
    return None
