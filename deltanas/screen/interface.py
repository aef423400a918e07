"""The interface that LEMUR's trainer calls: class Net, its methods, supported_hyperparameters."""

from __future__ import annotations

import ast

_METHODS = ("__init__", "forward", "train_setup", "learn")
_NAMED = 5  # classes at most that a message names


def interface_fault(baseline: ast.Module, tree: ast.Module) -> str | None:
    """Return the sentence that says how a network breaks the interface, or None.

    A method may be inherited where the baseline's Net has none of that name either.
    """
    classes = _networks(tree)
    if not classes:
        others = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        found = f"but {', '.join(others[:_NAMED])}" if others else "and no other class"
        return f"the file has no top-level class Net, {found}; the network must be class Net"
    if len(classes) > 1:
        return f"the file has {len(classes)} top-level classes Net; it must have one"
    (net,) = classes
    if "supported_hyperparameters" not in _functions(tree.body):
        return "the file must have a function supported_hyperparameters()"
    methods = _functions(net.body)
    inherited = set(_METHODS) if any(_holds_methods(base) for base in net.bases) else set()
    inherited -= {name for known in _networks(baseline) for name in _functions(known.body)}
    for name in _METHODS:
        if name not in methods and name not in inherited:
            return f"line {net.lineno}: class Net must have a method {name}"
    init = methods.get("__init__")
    if init and not _takes_four(init.args):
        return (
            f"line {init.lineno}: Net.__init__({ast.unparse(init.args)}) must accept"
            " (self, in_shape, out_shape, prm, device)"
        )
    return None


def _networks(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Net"]


def _functions(body: list[ast.stmt]) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


def _holds_methods(base: ast.expr) -> bool:
    """Return whether a base class of Net can have methods of the interface: nn.Module cannot."""
    return ast.unparse(base).rpartition(".")[2] != "Module"


def _takes_four(args: ast.arguments) -> bool:
    positional = len(args.posonlyargs) + len(args.args)
    needed = positional - len(args.defaults)
    keywords = all(default is not None for default in args.kw_defaults)
    return needed <= 5 and (positional >= 5 or args.vararg is not None) and keywords
