"""Which layers see images of one pixel, as a pooling over the whole image comes before them."""

from __future__ import annotations

import ast

from deltanas.propose.edits.calls import argument, dotted, kind, square
from deltanas.propose.edits.view import View


def pooled_calls(view: View) -> set[int]:
    """Return the ids of the calls that make such layers, as far as the text shows the order."""
    found: list[ast.AST] = []
    for container in view.containers:
        places = [i for i, element in enumerate(container.elements) if _pools_all(element)]
        found += container.elements[places[0] + 1 :] if places else []
    for owner in view.classes.values():
        found += _Flow(view, owner).pooled_layers()
    return {id(inner) for node in found for inner in (node, *view.below(node))}


class _Flow:
    """The tensors of a class's `forward` methods that have a single pixel, and what reads them."""

    def __init__(self, view: View, owner: ast.ClassDef) -> None:
        self.view, self.owner = view, owner
        self.roots = {"self", *(alias.asname or alias.name for alias in view.aliases())}
        self.made = {
            dotted(node.targets[0]): node.value
            for node in view.below(owner)
            if isinstance(node, ast.Assign)
        }
        self.tensors: set[str] = set()
        self.readers: set[str] = set()

    def pooled_layers(self) -> list[ast.expr]:
        """Return the layers that are made as attributes and called on a single pixel."""
        for method in self.owner.body:
            if isinstance(method, ast.FunctionDef) and "forward" in method.name:
                self.tensors.clear()
                for node in self.view.below(method):
                    if isinstance(node, ast.Assign | ast.Return) and node.value:
                        single = self._single(node.value)
                        name = dotted(node.targets[0]) if isinstance(node, ast.Assign) else ""
                        self.tensors.discard(name)
                        self.tensors |= {name} if name and single else set()
        return [self.made[name] for name in self.readers if name in self.made]

    def _single(self, node: ast.expr) -> bool:
        """Tell whether a tensor has a single pixel; note which layers are called on such."""
        if isinstance(node, ast.BinOp):
            return all([self._single(node.left), self._single(node.right)])
        if not isinstance(node, ast.Call):
            return dotted(node) in self.tensors
        single = self._single(self._input(node))
        name = dotted(node.func)
        if single:
            self.readers.add(name)
        layer = self.made.get(name)
        inside = [layer, *self.view.below(layer)] if layer else [node]
        return single or any(map(_pools_all, inside))

    def _input(self, call: ast.Call) -> ast.expr:
        """Return what a call works on: `x` in `self.conv(x)`, `F.relu(x)` and `x.mean()`."""
        owned = dotted(call.func).partition(".")[0] in self.roots
        if isinstance(call.func, ast.Attribute) and not owned:
            return call.func.value
        return call.args[0] if call.args else call.func


def _pools_all(node: ast.AST) -> bool:
    """Tell whether a call averages over a whole image, or takes its maximum."""
    if not isinstance(node, ast.Call):
        return False
    name = kind(node)
    if name in ("mean", "amax"):
        over = argument(node, 0, "dim")
        return isinstance(over, ast.Tuple | ast.List) and len(over.elts) == 2
    layer = name in ("AdaptiveAvgPool2d", "AdaptiveMaxPool2d")
    functional = name in ("adaptive_avg_pool2d", "adaptive_max_pool2d")
    size = argument(node, 0 if layer else 1, "output_size")
    return (layer or functional) and square(size) == 1
