"""What a candidate may say: its interface, its frozen parts, its imports and the names it uses.

This is a filter in front of the jail and a source of feedback for the LLM, not a boundary: Python
has more ways around a list of names than a list can hold. What keeps code in is the jail.
"""

from __future__ import annotations

import ast
import re
import warnings

from deltanas.records import Verdict
from deltanas.screen import policy_lists
from deltanas.screen.interface import interface_fault
from deltanas.source import FROZEN

MAX_BYTES = 256_000
MAX_DEPTH = 100  # levels of the syntax tree; the deepest of 400 LEMUR networks has 23

_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_DUNDER = re.compile(r"__\w+__")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class PolicyError(ValueError):
    """A network that may not be built; `verdict` is SYNTAX, INTERFACE or POLICY."""

    def __init__(self, verdict: Verdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


def check_policy(baseline: str, code: str, frozen: tuple[str, ...] = FROZEN) -> None:
    """Check the source of a network against that of its baseline, without running either.

    `frozen` names the functions that must equal the baseline's. An import off the list passes only
    where the baseline has it too and `code` never uses it. Raises PolicyError with the verdict of
    the first rule broken: `syntax` (does not compile, or is nested too deeply), `interface` (class
    Net and its methods), `policy` (everything else).
    """
    tree, nodes = _parse(code)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = ast.parse(baseline)
    _check(known, list(ast.walk(known)), tree, nodes, frozen)


def check_network(code: str) -> None:
    """Check the source of a network that has no baseline: every rule that does not compare.

    Net may inherit methods, and an import off the list passes where `code` never uses it: a third
    of the LEMUR networks import `os` for nothing. Raises PolicyError as `check_policy` does.
    """
    tree, nodes = _parse(code)
    _check(tree, nodes, tree, nodes, frozen=())


def _check(
    known: ast.Module,
    known_nodes: list[ast.AST],
    tree: ast.Module,
    nodes: list[ast.AST],
    frozen: tuple[str, ...],
) -> None:
    fault = interface_fault(known, tree)
    if fault:
        raise PolicyError(Verdict.INTERFACE, fault)
    _check_frozen(known_nodes, nodes, frozen)
    _check_imports(known_nodes, nodes)
    bound = {name for node in nodes for name, _ in _imported(node)}
    for node in nodes:
        if isinstance(node, ast.Attribute):
            _check_attribute(node, bound)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            _check_text(node, node.value)
        elif isinstance(node, ast.MatchClass) and any(map(policy_lists.denied, node.kwd_attrs)):
            raise _refuse(node, f"the pattern {ast.unparse(node)} is not allowed")
    _check_names(nodes, bound)


def _refuse(node: ast.AST, message: str) -> PolicyError:
    return PolicyError(Verdict.POLICY, f"line {getattr(node, 'lineno', 1)}: {message}")


def _parse(code: str) -> tuple[ast.Module, list[ast.AST]]:
    """Return the syntax tree of a network and all of its nodes, outer ones first."""
    size = len(code.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise PolicyError(
            Verdict.POLICY, f"the network has {size} bytes; at most {MAX_BYTES} are allowed"
        )
    for number, line in enumerate(code.split("\n", 2)[:2], 1):
        cookie = _COOKIE.match(line)
        if cookie and cookie[1].lower().replace("_", "-") not in ("utf-8", "utf8"):
            raise PolicyError(
                Verdict.POLICY, f"line {number}: the encoding is {cookie[1]}; it must be utf-8"
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a string is no fault of the network
            tree = ast.parse(code)
            nodes = _nodes(tree)
            # finds what the parser lets pass, as `return` outside functions; nothing is run
            compile(tree, "<network>", "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise PolicyError(Verdict.SYNTAX, f"{where}{error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise PolicyError(
            Verdict.SYNTAX, "the code is nested too deeply for the parser"
        ) from error
    except PolicyError:
        raise
    except ValueError as error:  # NUL bytes, lone surrogates
        raise PolicyError(Verdict.SYNTAX, f"the code is not text: {error}") from error
    return tree, nodes


def _nodes(tree: ast.Module) -> list[ast.AST]:
    nodes: list[ast.AST] = []
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        nodes += level
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        line = getattr(level[0], "lineno", 1)
        raise PolicyError(
            Verdict.SYNTAX, f"line {line}: the code is nested deeper than {MAX_DEPTH} levels"
        )
    return nodes


def _check_frozen(baseline: list[ast.AST], nodes: list[ast.AST], frozen: tuple[str, ...]) -> None:
    known = _named_functions(baseline, frozen)
    found = _named_functions(nodes, frozen)
    for text, function in found.items():
        if text not in known:
            raise _refuse(
                function, f"{function.name} differs from the baseline's; it must stay as it is"
            )
    for node in nodes:
        name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
        if name in frozen and isinstance(getattr(node, "ctx", None), ast.Store):
            raise _refuse(node, f"{name} is assigned; it must stay as the baseline has it")
    for text, missing in known.items():
        if text not in found:
            raise PolicyError(Verdict.POLICY, f"{missing.name} of the baseline is missing")


def _named_functions(nodes: list[ast.AST], wanted: tuple[str, ...]) -> dict[str, _Function]:
    """Return the functions of these names; the key is the syntax tree and a counter.

    A copy of `learn` in a base class or below `if` is thus a difference, too.
    """
    functions: dict[str, _Function] = {}
    for node in nodes:
        if isinstance(node, _Function) and node.name in wanted:
            text, copies = ast.dump(node), 0
            while f"{text} {copies}" in functions:
                copies += 1
            functions[f"{text} {copies}"] = node
    return functions


def _imported(node: ast.AST) -> list[tuple[str, str]]:
    """Return (name that the import binds, dotted path that it imports), in order."""
    if isinstance(node, ast.Import):
        return [(item.asname or item.name.partition(".")[0], item.name) for item in node.names]
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        return [(item.asname or item.name, f"{module}.{item.name}") for item in node.names]
    return []


def _check_imports(baseline: list[ast.AST], nodes: list[ast.AST]) -> None:
    tolerated = {path for node in baseline for _, path in _imported(node)}
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    for node in nodes:
        for name, path in _imported(node):
            root, *parts = path.split(".")
            refused = [part for part in parts if policy_lists.denied_in_module(part)]
            listed = root in policy_lists.MODULES and not refused
            if listed and (name != "*" or path in tolerated):
                continue
            if name == "*" or name in used or path not in tolerated:
                raise _refuse(node, f"the import of {path} is not allowed; do without it")


def _root(node: ast.expr) -> str:
    """Return the name at the left end of a dotted chain; empty where it starts otherwise."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _check_attribute(node: ast.Attribute, bound: set[str]) -> None:
    of_module = _root(node) in bound
    if policy_lists.denied(node.attr) or (of_module and policy_lists.denied_in_module(node.attr)):
        raise _refuse(node, f"the attribute {ast.unparse(node)} is not allowed")
    if isinstance(node.ctx, ast.Load):
        return
    if of_module and not policy_lists.is_switch(ast.unparse(node)):
        raise _refuse(node, f"{ast.unparse(node)} belongs to a library; it cannot be changed")
    if _DUNDER.fullmatch(node.attr):
        raise _refuse(node, f"{ast.unparse(node)} cannot be assigned")


def _check_text(node: ast.Constant, text: str) -> None:
    """Refuse the names that `str.format` and the like would look up."""
    for name in _DUNDER.findall(text):
        if policy_lists.denied(name):
            raise _refuse(node, f"the text holds {name}, which is not allowed")


def _check_names(nodes: list[ast.AST], bound: set[str]) -> None:
    called = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
            continue
        call = called.get(id(node))
        if node.id in policy_lists.BUILTINS or policy_lists.denied(node.id):
            raise _refuse(node, f"the name {node.id} is not allowed")
        if node.id == "input" and call:  # as a variable it is the tensor that forward receives
            raise _refuse(node, "the call of input is not allowed")
        if node.id in policy_lists.BY_NAME:
            if call is None or not _names_attribute(call):
                raise _refuse(
                    node, f"{node.id} must be called with a permitted attribute name, as a literal"
                )
            if node.id in ("setattr", "delattr") and _root(call.args[0]) in bound:
                raise _refuse(node, f"{node.id} on {ast.unparse(call.args[0])} is not allowed")


def _names_attribute(call: ast.Call) -> bool:
    """Return whether a getattr-like call names a permitted attribute, as a literal or of self."""
    if len(call.args) < 2 or any(isinstance(arg, ast.Starred) for arg in call.args):
        return False
    target, name = call.args[:2]
    if isinstance(target, ast.Name) and target.id == "self":  # layers are often numbered by name
        if isinstance(name, ast.JoinedStr) and name.values:
            name = name.values[0]
            return isinstance(name, ast.Constant) and str(name.value)[:1].isalpha()
        if isinstance(name, ast.Name):
            return ast.unparse(call.func) == "setattr"
    return (
        isinstance(name, ast.Constant)
        and isinstance(name.value, str)
        and not policy_lists.denied_in_module(name.value)
    )
