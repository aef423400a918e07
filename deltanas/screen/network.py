"""From a reply to a whole network: the control that writes networks instead of deltas."""

from __future__ import annotations

import ast
import re
import textwrap
from typing import TypeGuard

from deltanas.records import Verdict
from deltanas.screen.hunks import DeltaError
from deltanas.screen.reply import answer_blocks
from deltanas.source import FROZEN, fingerprint

_NET = re.compile(r"^class Net\b(?!(?: [a-z]+){2})", re.MULTILINE)  # no sentence about it


def extract_network(reply: str, baseline: str) -> str:
    """Return the network in a reply: after any thinking, between <nn> tags, in a fence, or bare.

    `train_setup`, `learn` and `supported_hyperparameters`, which no attempt may change, are taken
    from the baseline where the reply has none of that name, as not every prompt shows them.
    Raises DeltaError: `no_delta` where the reply defines no class Net, `malformed` where several
    networks that differ do, `no_op` where its syntax tree equals the baseline's.
    """
    networks = {block.text.strip("\n") + "\n" for block in answer_blocks(reply, "nn", _NET)}
    if len(networks) != 1:
        verdict = Verdict.MALFORMED if networks else Verdict.NO_DELTA
        raise DeltaError(
            verdict, f"the reply holds {len(networks)} networks with a class Net; it must hold one"
        )
    (code,) = networks
    try:
        code = _completed(code, baseline)
        same = fingerprint(code) == fingerprint(baseline)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code  # it does not parse: the next gate says so, with the line
    if same:
        raise DeltaError(Verdict.NO_OP, "the reply repeats the syntax tree of the baseline")
    return code


def _completed(code: str, baseline: str) -> str:
    """Return the code with the frozen functions that it lacks, where the baseline has them.

    Functions above the classes go below the imports, others to the end, methods to the end of Net.
    """
    tree, known = ast.parse(code), ast.parse(baseline)
    if not any(_is_net(node) for node in tree.body):
        return code  # the line stands in a string: the next gate says that there is no Net
    net, known_net = _net(tree), _net(known)
    there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    first = next(n for n in tree.body if not isinstance(n, ast.Import | ast.ImportFrom))
    indent = " " * net.body[0].col_offset
    methods = _texts(known_net.body, baseline, there, indent)
    above = [node for node in known.body if node.lineno < known_net.lineno]
    below = [node for node in known.body if node.lineno > known_net.lineno]
    lines = code.removesuffix("\n").split("\n")
    top, end = first.lineno - 1, net.end_lineno or len(lines)
    parts = (
        lines[:top],
        _texts(above, baseline, there, ""),
        lines[top:end],
        methods,
        lines[end:],
        _texts(below, baseline, there, ""),
    )
    return "".join(f"{line}\n" for part in parts for line in part)


def _net(tree: ast.Module) -> ast.ClassDef:
    return next(node for node in tree.body if _is_net(node))


def _is_net(node: ast.stmt) -> TypeGuard[ast.ClassDef]:
    return isinstance(node, ast.ClassDef) and node.name == "Net"


def _texts(body: list[ast.stmt], source: str, there: set[str], indent: str) -> list[str]:
    """Return the frozen functions of a body that are not there yet, one text for each."""
    lines = source.split("\n")
    texts = [
        "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in body
        if isinstance(node, ast.FunctionDef) and node.name in FROZEN and node.name not in there
    ]
    return [textwrap.indent(textwrap.dedent(text), indent) for text in texts]
