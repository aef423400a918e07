"""Reading layer calls: names, arguments and literals, and what they say about shapes."""

from __future__ import annotations

import ast

CONVOLUTIONS = frozenset({"Conv2d", "ConvTranspose2d"})


PRODUCERS = CONVOLUTIONS | {"Linear"}


NORMS = frozenset({"BatchNorm2d", "BatchNorm1d", "InstanceNorm2d", "GroupNorm"})


ACTIVATIONS = frozenset(
    {"ReLU", "LeakyReLU", "GELU", "SiLU", "ELU", "Hardswish", "Mish", "ReLU6", "SELU", "CELU"}
)


SIZES = frozenset({"kernel_size", "stride", "padding", "dilation", "output_size"})  # no widths


CONV_ARGUMENTS = [
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "bias",
]


def kind(node: ast.AST) -> str:
    """Return the last part of the called name: `Conv2d` for `nn.Conv2d(...)`; else empty."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """Return the argument with this position or name; None if absent or behind a star."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if position >= len(call.args):
        return None
    if any(isinstance(a, ast.Starred) for a in call.args[: position + 1]):
        return None
    return call.args[position]


def integer(node: ast.AST | None) -> int | None:
    """Return the value of an integer literal, else None."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    return None


def square(node: ast.AST | None) -> int | None:
    """Return k for the literals `k` and `(k, k)`, else None."""
    if isinstance(node, ast.Tuple | ast.List) and len(node.elts) == 2:
        first, second = integer(node.elts[0]), integer(node.elts[1])
        return first if first == second else None
    return integer(node)


def conv_number(call: ast.Call, name: str, default: int) -> int | None:
    """Return a convolution's literal argument, its default when absent, None if not a literal."""
    node = argument(call, CONV_ARGUMENTS.index(name), name)
    starred = any(isinstance(a, ast.Starred) for a in call.args) or any(
        k.arg is None for k in call.keywords
    )
    if node is None:
        return None if starred else default
    return square(node)


def dotted(node: ast.AST | None) -> str:
    """Return `a` or `self.a` for a plain name or attribute, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def factors(node: ast.expr) -> list[ast.expr]:
    """Return the factors of a product, left to right."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return factors(node.left) + factors(node.right)
    return [node]


def keeps_size(conv: ast.Call) -> bool:
    size, padding = conv_number(conv, "kernel_size", 1), conv_number(conv, "padding", 0)
    stride, dilation = conv_number(conv, "stride", 1), conv_number(conv, "dilation", 1)
    if size is None or padding is None or dilation is None or stride != 1:
        return False
    return 2 * padding == dilation * (size - 1)


def preserves(call: ast.Call) -> bool:
    if kind(call) == "Linear":
        first = integer(argument(call, 0, "in_features"))
        return first is not None and first == integer(argument(call, 1, "out_features"))
    if kind(call) != "Conv2d":
        return False
    first = integer(argument(call, 0, "in_channels"))
    second = integer(argument(call, 1, "out_channels"))
    return first is not None and first == second and keeps_size(call)
