"""Edits of convolution options and pooling that leave every later shape as it was."""

from __future__ import annotations

import ast
from random import Random

from deltanas.propose.edits.calls import (
    CONV_ARGUMENTS,
    NORMS,
    argument,
    conv_number,
    factors,
    integer,
    kind,
    square,
)
from deltanas.propose.edits.layers import some
from deltanas.propose.edits.view import Span, View, view_of


def kernel(code: str, rng: Random) -> str | None:
    """Change a convolution's kernel size and its padding, so that the output size stays."""
    view = view_of(code)
    convs: list[tuple[ast.Call, ast.expr, int]] = []
    for call in view.calls:
        node = argument(call, 2, "kernel_size") if kind(call) == "Conv2d" else None
        size = square(node)
        if node is not None and size is not None and size % 2 == 1:
            convs.append((call, node, size))
    if not convs:
        return None
    chosen = rng.sample(convs, min(len(convs), rng.choice((1, 1, 2, 3))))
    spans: list[Span] = []
    for call, node, size in chosen:
        spans += _resized(view, call, node, size, rng) or []
    return view.replaced(spans) if spans else None


def _resized(
    view: View, call: ast.Call, node: ast.expr, size: int, rng: Random
) -> list[Span] | None:
    place = argument(call, CONV_ARGUMENTS.index("padding"), "padding")
    if isinstance(place, ast.Constant) and place.value == "same":
        return [view.swap(node, _like(node, rng.choice([s for s in (1, 3, 5, 7) if s != size])))]
    padding = conv_number(call, "padding", 0)
    dilation = conv_number(call, "dilation", 1)
    if padding is None or dilation is None:
        return None
    sizes = [
        new
        for new in (1, 3, 5, 7, 9)
        if new != size and abs(new - size) <= 4 and padding + dilation * (new - size) // 2 >= 0
    ]
    weights = [{1: 1, 3: 4, 5: 4, 7: 2, 9: 1}[new] for new in sizes]
    if not sizes:
        return None
    new = rng.choices(sizes, weights)[0]
    spans = [view.swap(node, _like(node, new))]
    return spans + _padded(view, call, padding + dilation * (new - size) // 2)


def _like(node: ast.expr, value: int) -> str:
    if isinstance(node, ast.Tuple | ast.List):
        return f"({value}, {value})" if isinstance(node, ast.Tuple) else f"[{value}, {value}]"
    return str(value)


def _padded(view: View, call: ast.Call, padding: int) -> list[Span]:
    node = argument(call, CONV_ARGUMENTS.index("padding"), "padding")
    if node is not None:
        return [view.swap(node, _like(node, padding))]
    return [view.with_keyword(call, "padding", str(padding))]


def conv_options(code: str, rng: Random) -> str | None:
    """Drop a bias before a normalisation, dilate with matching padding, or split into groups."""
    view = view_of(code)
    bias: list[list[Span]] = []
    dilated: list[list[Span]] = []
    grouped: list[list[Span]] = []
    for call in view.calls:
        if kind(call) != "Conv2d" or len(call.args) + len(call.keywords) < 3:
            continue
        names = {k.arg for k in call.keywords} | set(CONV_ARGUMENTS[: len(call.args)])
        if "bias" not in names and None not in names and _before_norm(view, call):
            bias.append([view.with_keyword(call, "bias", "False")])
        size, padding = conv_number(call, "kernel_size", 1), conv_number(call, "padding", 0)
        if size in (3, 5) and padding is not None and "dilation" not in names:
            wider = padding + (size - 1) // 2
            dilated.append(_dilated(view, call, wider))
        width_in, width_out = (
            conv_number(call, "in_channels", 0),
            conv_number(call, "out_channels", 0),
        )
        groups = rng.choice((2, 4))
        literal = width_in and width_out and "groups" not in names and None not in names
        if literal and not any(w % (4 * groups) for w in (width_in or 0, width_out or 0)):
            grouped.append([view.with_keyword(call, "groups", str(groups))])
    choices = [items for items in (bias, dilated, grouped) if items]
    if not choices:
        return None
    spans = some(rng.choice(choices), rng, 0.4)
    return view.replaced(spans) if spans else None


def _dilated(view: View, call: ast.Call, padding: int) -> list[Span]:
    at, end, text = view.with_keyword(call, "dilation", "2")
    node = argument(call, CONV_ARGUMENTS.index("padding"), "padding")
    if node is None:
        return [(at, end, f", padding={padding}{text}")]
    if view.end(node) == at:
        return [(view.start(node), at, _like(node, padding) + text)]
    return [view.swap(node, _like(node, padding)), (at, end, text)]


def _before_norm(view: View, call: ast.Call) -> bool:
    for container in view.containers:
        for element, following in zip(container.elements, container.elements[1:], strict=False):
            if element is call:
                return kind(following) in NORMS
    return False


POOL_ARGUMENTS = {"kernel_size", "stride", "padding", "ceil_mode"}


POOL_SWAPS = {
    "MaxPool2d": "AvgPool2d",
    "AvgPool2d": "MaxPool2d",
    "max_pool2d": "avg_pool2d",
    "avg_pool2d": "max_pool2d",
    "AdaptiveAvgPool2d": "AdaptiveMaxPool2d",
    "AdaptiveMaxPool2d": "AdaptiveAvgPool2d",
    "adaptive_avg_pool2d": "adaptive_max_pool2d",
    "adaptive_max_pool2d": "adaptive_avg_pool2d",
}


def pooling(code: str, rng: Random) -> str | None:
    """Swap maximum and average pooling, or resize an adaptive pooling with its flattened width."""
    view = view_of(code)
    swaps: list[list[Span]] = []
    for call in view.calls:
        name = kind(call)
        if name in POOL_SWAPS and isinstance(call.func, ast.Attribute):
            limit = 3 if name[0].isupper() else 4
            keywords = {k.arg for k in call.keywords} - {"output_size"}
            if len(call.args) <= limit and keywords <= POOL_ARGUMENTS:
                at = view.end(call.func)
                swaps.append([(at - len(name), at, POOL_SWAPS[name])])
    resized = _resized_pool(view, rng)
    if resized and (not swaps or rng.random() < 0.4):
        return view.replaced(resized)
    spans = some(swaps, rng, 0.3)
    return view.replaced(spans) if spans else None


def _resized_pool(view: View, rng: Random) -> list[Span] | None:
    """Return the spans that give the only adaptive pooling a new size, `* s * s` included."""
    pools = [_pool_size(c) for c in view.calls if kind(c).lower().startswith("adaptive")]
    sizes = {square(place) for place in pools}
    size = sizes.pop() if len(sizes) == 1 else None
    reshapes = [c for c in view.calls if kind(c) in ("view", "reshape", "Unflatten", "unflatten")]
    literal = any(integer(n) == size for call in reshapes for n in view.below(call))
    if size is None or size < 2 or literal:
        return None
    spans: list[Span] = []
    found = 0
    for node in view.nodes:
        if not isinstance(node, ast.BinOp) or isinstance(view.parents[node], ast.BinOp):
            continue
        parts = factors(node)
        equal = [part for part in parts if integer(part) == size]
        if len(parts) >= 3 and len(equal) == 2:
            found += 1
            spans += [view.swap(f, "@") for f in equal]
    if found != 1:
        return None
    news = [s for s in (2, 3, 4, 5, 6, 7, 8) if s != size and s * s <= 2.3 * size * size]
    if not news:
        return None
    new = rng.choice(news)
    spans = [(first, last, str(new)) for first, last, _ in spans]
    return spans + [view.swap(place, _like(place, new)) for place in pools if place is not None]


def _pool_size(call: ast.Call) -> ast.expr | None:
    return argument(call, 0 if kind(call)[0].isupper() else 1, "output_size")
