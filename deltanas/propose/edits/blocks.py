"""Edits of depth: whole layers inserted, repeated, split or removed."""

from __future__ import annotations

import ast
import re
from random import Random

from deltanas.propose.edits.calls import (
    ACTIVATIONS,
    CONVOLUTIONS,
    NORMS,
    PRODUCERS,
    argument,
    conv_number,
    dotted,
    integer,
    keeps_size,
    kind,
    preserves,
)
from deltanas.propose.edits.modules import activation_text, group, insert_attribute, places
from deltanas.propose.edits.reductions import fits_reduction
from deltanas.propose.edits.view import Span, View, view_of
from deltanas.propose.edits.widths import nearby, width_lists


def block(code: str, rng: Random) -> str | None:
    """Insert a convolution with norm and activation, repeat a layer group, or remove layers."""
    edits = [_insert_group, _repeat_statement, _remove_statement, _remove_layers, _list_entry]
    edits += [_factorise, _depth, insert_attribute]
    weights = [4, 4, 2, 2, 2, 2, 3, 4]
    while edits:
        edit = rng.choices(edits, weights)[0]
        result = edit(view_of(code), rng)
        if result is not None:
            return result
        del weights[edits.index(edit)]
        edits.remove(edit)
    return None


def _insert_group(view: View, rng: Random) -> str | None:
    found = places(view)
    if not found:
        return None
    container, index, width_now, prefix = rng.choice(found)
    layers = group(prefix, str(width_now), width_now, activation_text(view, rng), rng)
    return view.replaced([view.insertion(container, index, layers)])


def _layer_statements(view: View) -> list[tuple[ast.AugAssign, ast.stmt, str, int, ast.Call]]:
    """Return statements `layers += [Conv2d(c, 64), ...]` with the `c = 64` that follows them."""
    found: list[tuple[ast.AugAssign, ast.stmt, str, int, ast.Call]] = []
    for container in view.containers:
        statement = view.parents[container.node]
        if isinstance(statement, ast.AugAssign):
            calls = [e for e in container.elements if isinstance(e, ast.Call)]
            convs = [call for call in calls if kind(call) in CONVOLUTIONS]
            siblings = getattr(view.parents[statement], "body", [])
            if len(convs) != 1 or statement not in siblings:
                continue
            conv = convs[0]
            name = dotted(argument(conv, 0, "in_channels"))
            value = integer(argument(conv, 1, "out_channels"))
            place = siblings.index(statement)
            for after in siblings[place + 1 : place + 3]:
                if (
                    isinstance(after, ast.Assign)
                    and dotted(after.targets[0]) == name
                    and integer(after.value) == value
                    and name
                    and value
                    and view.fills_lines(statement)
                    and view.fills_lines(after)
                ):
                    found.append((statement, after, name, value, conv))
    return found


def _repeat_statement(view: View, rng: Random) -> str | None:
    """Insert a `layers += [...]` group with its width assignment after an existing one."""
    groups = _layer_statements(view)
    if not groups:
        return None
    statement, after, name, value, conv = rng.choice(groups)
    new = value
    if _reads_next(view, after, name) and rng.random() < 0.5:
        new = nearby(value, rng) or value
    pad = view.indent(statement)
    prefix = view.prefix(conv)
    layers = group(prefix, name, new, activation_text(view, rng), rng)
    inner = "".join(f"{pad}    {layer},\n" for layer in layers)
    target = view.text(statement.target)
    text = f"{pad}{target} += [\n{inner}{pad}]\n{pad}{name} = {new}\n"
    end = view.below_line(after)
    return view.replaced([(end, end, text)])


def _remove_statement(view: View, rng: Random) -> str | None:
    """Remove a `layers += [...]` group that keeps the size, with its width assignment."""
    groups = _layer_statements(view)
    inner = [
        (statement, after)
        for statement, after, name, _, conv in groups[1:-1]
        if keeps_size(conv)
        and "Pool" not in view.text(statement)
        and _reads_next(view, after, name)
    ]
    if len(groups) < 4 or not inner:
        return None
    statement, after = rng.choice(inner)
    lines = [(view.starts[s.lineno - 1], view.below_line(s), "") for s in (statement, after)]
    return view.replaced(lines)


def _reads_next(view: View, after: ast.stmt, name: str) -> bool:
    """Tell whether the next layer with an input width takes it from the name."""
    for call in view.calls:
        if call.lineno > after.lineno and (kind(call) in PRODUCERS or kind(call) in view.classes):
            return kind(call) in CONVOLUTIONS and dotted(argument(call, 0, "in_channels")) == name
    return False


def _remove_layers(view: View, rng: Random) -> str | None:
    """Remove a shape-preserving layer, with the norm and activation that follow it."""
    found: list[list[Span]] = []
    for container in view.containers:
        for index, element in enumerate(container.elements):
            if not isinstance(element, ast.Call) or not preserves(element):
                continue
            end = index + 1
            elements = container.elements
            while end < len(elements) and kind(elements[end]) in NORMS | ACTIVATIONS:
                end += 1
            if index > 0 and end < len(elements):
                found.append([view.removal(container, i) for i in range(index, end)])
    return view.replaced(rng.choice(found)) if found else None


def _list_entry(view: View, rng: Random) -> str | None:
    """Repeat an entry of a width list, or remove one that stands twice in a row."""
    lists = width_lists(view)
    if not lists:
        return None
    chosen = rng.choice(lists)
    elements = chosen.elts
    ends = view.ends(chosen, elements)
    numbers = [i for i, e in enumerate(elements) if integer(e) is not None]
    twice = [i for i in numbers[1:] if integer(elements[i]) == integer(elements[i - 1])]
    if twice and rng.random() < 0.4:
        index = rng.choice(twice)
        return view.replaced([(ends[index - 1], ends[index], "")])
    owner = view.owner(chosen)
    text = view.text(owner) if owner else view.data.decode()
    shrinks = any(
        word in text for word in ("MaxPool", ".AvgPool", "max_pool", " avg_pool", "stride")
    )
    if shrinks and len(numbers) == len(elements):
        return None  # every entry may halve the size
    index = rng.choice(numbers)
    return view.replaced([(ends[index], ends[index], f", {view.text(elements[index])}")])


def _factorise(view: View, rng: Random) -> str | None:
    """Split a convolution in a container into a depthwise and a pointwise one."""
    found: list[list[Span]] = []
    for container in view.containers:
        for index, element in enumerate(container.elements):
            if kind(element) != "Conv2d" or not isinstance(element, ast.Call):
                continue
            first = integer(argument(element, 0, "in_channels"))
            out = argument(element, 1, "out_channels")
            plain = {k.arg for k in element.keywords} <= {
                "kernel_size",
                "stride",
                "padding",
                "bias",
            }
            if out is None or not first or integer(out) is None:
                continue
            if len(element.args) < 2 or not plain:
                continue
            size = conv_number(element, "kernel_size", 1)
            if size is not None and size > 1:
                pointwise = (
                    f"{view.prefix(element)}Conv2d({first}, {view.text(out)}, kernel_size=1)"
                )
                found.append(
                    [
                        view.swap(out, str(first)),
                        view.with_keyword(element, "groups", str(first)),
                        view.insertion(container, index, [pointwise]),
                    ]
                )
    if not found:
        return None
    chosen, grouped, inserted = rng.choice(found)
    return view.replaced([chosen, grouped, inserted])


DEPTH_NAME = re.compile(
    r"(num_|n_)?(blocks|layers|repeats|columns)|depth|repeats|n|(expand|mlp)_ratio|expansion"
    r"|growth(_rate)?|reduction"
)
MOST_GROWTH = 512  # channels that one layer of a dense block may add
MOST = 64  # of all else


def _depth(view: View, rng: Random) -> str | None:
    """Change a literal count that is passed to, or assigned for, the network's own blocks."""
    found: list[tuple[ast.expr, str]] = []
    for node in view.nodes:
        if isinstance(node, ast.Assign):
            found.append((node.value, dotted(node.targets[0]).removeprefix("self.")))
        elif isinstance(node, ast.Call) and kind(node) in view.classes:
            found += [(k.value, k.arg) for k in node.keywords if k.arg]
        elif isinstance(node, ast.comprehension):
            found += [(count, "depth") for count in _repeats(node)]
    choices: list[tuple[ast.expr, str, int]] = []
    for value, name in found:
        number = integer(value)
        if number is None or number < 1 or not DEPTH_NAME.fullmatch(name):
            continue
        if name in ("growth_rate", "growth"):
            new = rng.choice([number * 2, number + 4, max(4, number // 2)])
        elif name in ("reduction", "expansion", "expand_ratio", "mlp_ratio"):
            new = rng.choice([number * 2, max(2, number // 2)])
        else:
            new = rng.choice([number + 1, number + 2, max(1, number - 1)])
        if new != number:
            choices.append((value, name, new))
    if not choices:
        return None
    value, name, new = rng.choice(choices)
    most = MOST_GROWTH if name.startswith("growth") else MOST
    if new > max(most, integer(value) or 0):
        return None  # doubled again and again, it would leave every sensible size
    if name == "reduction" and not fits_reduction(view, value, new):
        return None
    return view.replaced([view.swap(value, str(new))])


def _repeats(node: ast.comprehension) -> list[ast.expr]:
    """Return the count of a comprehension that repeats one block: `for _ in range(3)`."""
    alike = isinstance(node.target, ast.Name) and node.target.id == "_"
    if alike and isinstance(node.iter, ast.Call) and kind(node.iter) == "range":
        return node.iter.args if len(node.iter.args) == 1 else []
    return []
