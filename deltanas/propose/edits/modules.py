"""Edits that add paths: skip connections, residual and gated blocks, a new attribute."""

from __future__ import annotations

import ast
import itertools
from random import Random

from deltanas.propose.edits.calls import (
    ACTIVATIONS,
    CONVOLUTIONS,
    NORMS,
    argument,
    dotted,
    integer,
    kind,
    preserves,
)
from deltanas.propose.edits.view import Container, Span, View, view_of


def activation_text(view: View, rng: Random) -> str:
    used = [view.text(c) for c in view.calls if kind(c) in ACTIVATIONS and view.prefix(c)]
    return rng.choice(used) if used else "nn.ReLU(inplace=True)"


def group(prefix: str, width_in: str, width_out: int, act: str, rng: Random) -> list[str]:
    """Return a convolution that keeps the size, mostly with a norm, and an activation."""
    size = rng.choice((1, 3, 3, 3, 5))
    normed = rng.random() < 0.7
    layers = [
        f"{prefix}Conv2d({width_in}, {width_out}, kernel_size={size}, padding={size // 2}"
        + (", bias=False)" if normed and rng.random() < 0.4 else ")")
    ]
    if normed:
        layers.append(f"{prefix}BatchNorm2d({width_out})")
    return [*layers, act]


def places(view: View) -> list[tuple[Container, int, int, str]]:
    """Return where an image layer can go: container, element before it, its width, `nn.`."""
    found: list[tuple[Container, int, int, str]] = []
    for container in view.containers:
        width_now, prefix = None, ""
        for index, element in enumerate(container.elements):
            if not isinstance(element, ast.Call):
                width_now = None
                continue
            if kind(element) in CONVOLUTIONS | {"Linear"}:
                conv = kind(element) != "Linear"
                width_now = integer(argument(element, 1, "out_channels")) if conv else None
                prefix = view.prefix(element)
            elif kind(element) in view.classes or kind(element).startswith("Flatten"):
                width_now = None
            if width_now and prefix and kind(element) in ACTIVATIONS | {"MaxPool2d"}:
                found.append((container, index, width_now, prefix))
    return found


RESIDUAL = """class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.body = nn.Sequential(*layers)
    def forward(self, x):
        return x + self.body(x)
"""
GATE = """class ChannelGate(nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, channels // reduction, kernel_size=1)
        self.excite = nn.Conv2d(channels // reduction, channels, kernel_size=1)
    def forward(self, x):
        gate = torch.relu(self.squeeze(self.pool(x)))
        return x * torch.sigmoid(self.excite(gate))
"""


def skip(code: str, rng: Random) -> str | None:
    """Make `x = f(x)` into `x = x + f(x)`, or add a residual or gated block."""
    view = view_of(code)
    found = _skips(view)
    if found and rng.random() < 0.6:
        return view.replaced([rng.choice(found)])
    return _wrapped(view, rng) or (view.replaced([rng.choice(found)]) if found else None)


def _skips(view: View) -> list[Span]:
    preserving = _preserving_attributes(view)
    found: list[Span] = []
    for node in view.nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            name = dotted(node.targets[0])
            inner, layers = chain(node.value)
            owner = view.owner(node)
            known = preserving[owner.name] if owner and owner.name in preserving else {}
            whole = name and inner == name and all(layer in known for layer in layers)
            if whole and any(known[layer] for layer in layers):
                found.append((view.start(node.value), view.start(node.value), f"{name} + "))
    return found


def _wrapped(view: View, rng: Random) -> str | None:
    """Insert a residual or gated block of the current width, with its class if that is new."""
    found = places(view)
    bound = {alias.asname or alias.name for alias in view.aliases()}
    if not found or not {"nn", "torch"} <= bound or "Net" not in view.classes:
        return None
    container, index, width, _ = rng.choice(found)
    gated = rng.random() < 0.3
    name, definition = ("ChannelGate", GATE) if gated else ("Residual", RESIDUAL)
    if name in view.classes and view.text(view.classes[name]) + "\n" != definition:
        return None
    if gated:
        reduction = rng.choice((2, 4, 8))
        if reduction > width:
            return None
        layers = [f"ChannelGate({width}, reduction={reduction})"]
    else:
        size = rng.choice((3, 3, 3, 5))
        conv = f"nn.Conv2d({width}, {width}, kernel_size={size}, padding={size // 2}, bias=False)"
        layers = [f"Residual({conv}, nn.BatchNorm2d({width}))", activation_text(view, rng)]
    spans = [view.insertion(container, index, layers)]
    if name not in view.classes:
        at = view.starts[view.classes["Net"].lineno - 1]
        spans.append((at, at, definition))
    return view.replaced(spans)


def insert_attribute(view: View, rng: Random) -> str | None:
    """Add a block of the current width as a new attribute, called in `forward`."""
    net = view.classes.get("Net")
    if net is None:
        return None
    made = {
        dotted(node.targets[0]): node
        for node in view.below(net)
        if isinstance(node, ast.Assign) and dotted(node.targets[0]).startswith("self.")
    }
    found = []
    for node in view.below(net):
        if not isinstance(node, ast.Assign) or node in made.values() or len(node.targets) != 1:
            continue
        name = dotted(node.targets[0])
        layers = chain(node.value)[1]
        widths = [_width_after(view, made[a].value) for a in layers if a in made]
        width = next((w for w in widths if w is not None), None)
        if name and width and len(widths) == len(layers) and "." not in name:
            source = max((made[a] for a in layers), key=lambda made_at: made_at.lineno)
            if view.fills_lines(source) and view.fills_lines(node):
                found.append((source, node, name, width))
    if not found:
        return None
    source, call, name, width = rng.choice(found)
    word = _free_name(view.data.decode())
    pad = view.indent(source)
    layers = group("nn.", str(width), width, activation_text(view, rng), rng)
    inner = "".join(f"{pad}    {layer},\n" for layer in layers)
    made_text = f"{pad}self.{word} = nn.Sequential(\n{inner}{pad})\n"
    path = f"{name} + self.{word}({name})" if rng.random() < 0.4 else f"self.{word}({name})"
    call_text = f"{view.indent(call)}{name} = {path}\n"
    spans = []
    for statement, text in ((source, made_text), (call, call_text)):
        at = view.below_line(statement)
        spans.append((at, at, text))
    return view.replaced(spans)


def _free_name(text: str) -> str:
    """Return the first of `extra`, `extra2`, `extra3`, ... that stands nowhere in the text."""
    names = itertools.chain(["extra"], (f"extra{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in text)


def _width_after(view: View, value: ast.expr) -> int | None:
    """Return the literal width of an image that a layer puts out, if it sets one."""
    if not isinstance(value, ast.Call):
        return None
    if kind(value) == "Sequential":
        for element in reversed(value.args):
            if kind(element) in CONVOLUTIONS and isinstance(element, ast.Call):
                return integer(argument(element, 1, "out_channels"))
            if kind(element) not in ACTIVATIONS | NORMS | {"MaxPool2d", "AvgPool2d", "Dropout2d"}:
                return None
        return None
    return integer(argument(value, 1, "out_channels")) if kind(value) in CONVOLUTIONS else None


def chain(node: ast.expr) -> tuple[str, list[str]]:
    """Return the innermost name of nested calls on one tensor, and the attributes called on it."""
    layers: list[str] = []
    while isinstance(node, ast.Call) and node.args:
        name = dotted(node.func)
        if name.startswith("self."):
            layers.append(name)
        elif not name.startswith("F.") or kind(node) not in (
            "relu",
            "gelu",
            "silu",
            "leaky_relu",
            "elu",
            "hardswish",
            "mish",
        ):
            return "", []
        node = node.args[0]
    return dotted(node), layers


def _preserving_attributes(view: View) -> dict[str, dict[str, bool]]:
    """Return, for each class, the attributes that keep the shape, and if they are layers."""
    found: dict[str, dict[str, bool]] = {}
    for owner in view.classes.values():
        names = found.setdefault(owner.name, {})
        for node in view.below(owner):
            if isinstance(node, ast.Assign) and dotted(node.targets[0]).startswith("self."):
                value = node.value
                if isinstance(value, ast.Call) and _same_shape(value):
                    names[dotted(node.targets[0])] = "Dropout" not in kind(value) and (
                        kind(value) not in ACTIVATIONS | NORMS
                    )
    return found


def _same_shape(call: ast.Call) -> bool:
    name = kind(call)
    if name == "Sequential":
        return bool(call.args) and all(
            isinstance(a, ast.Call) and _same_shape(a) for a in call.args
        )
    return name in ACTIVATIONS | NORMS | {"Dropout", "Dropout2d"} or preserves(call)
