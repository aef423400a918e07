"""What is stored about each network of LEMUR, found from its text; nothing is imported or run."""

from __future__ import annotations

import ast
import gc
import hashlib
import multiprocessing
import os
import re
import signal
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from deltanas.source import stripped

_DEFINITION = re.compile(r"^(?=(?:def|class) )", re.MULTILINE)
_METHODS = {"__init__", "forward", "train_setup", "learn"}
_ARGUMENTS = 5  # self, in_shape, out_shape, prm, device
_BLOCKS = ("body", "orelse", "finalbody", "handlers")
_CHUNK = 64  # networks handed to a worker at once


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkText:
    """What is stored about one network besides its name."""

    code: bytes  # zlib of the file as it is
    source: bytes  # zlib of the code without comments; of nothing when it does not parse here
    lines: int  # of the source; 0 when it does not parse here
    chars: int
    fingerprint: str  # equal within one import for equal syntax trees
    interface_ok: bool
    imports: str  # top-level packages, sorted, separated by spaces


@contextmanager
def examined(codes: Iterable[str], workers: int) -> Iterator[Iterable[NetworkText]]:
    """Yield what is stored about each network, in order.

    With workers, that many processes have begun before the block does; else it is done as the
    block asks for it.
    """
    if not workers:
        yield map(examine, codes)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_follow_parent) as pool:
        try:
            yield pool.map(examine, codes, chunksize=_CHUNK)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it ends, however that happens."""
    gc.disable()  # a syntax tree holds no cycles
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def examine(code: str) -> NetworkText:
    """Return what is stored about one network; without a source when it does not parse here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in the authors' strings
        pieces = _pieces(code)
    source = "".join(piece.source for piece in pieces)
    body = ", ".join(statement for piece in pieces for statement in piece.statements)
    identity = f"Module(body=[{body}], type_ignores=[])" if source else code
    nets = [complete for piece in pieces for complete in piece.nets]
    functions = {name for piece in pieces for name in piece.functions}
    return NetworkText(
        code=zlib.compress(code.encode()),
        source=zlib.compress(source.encode()),
        lines=source.count("\n"),
        chars=len(source),
        fingerprint=hashlib.sha256(identity.encode()).hexdigest()[:32],
        interface_ok=nets == [True] and "supported_hyperparameters" in functions,
        imports=" ".join(sorted({name for piece in pieces for name in piece.imports})),
    )


class _Piece(NamedTuple):
    """Some statements of a module."""

    source: str  # without comments
    functions: list[str]  # names
    nets: list[bool]  # of each class `Net`: whether it has all methods
    imports: set[str]
    statements: list[str]  # the syntax tree of each, as `ast.dump` has it


def _pieces(code: str) -> list[_Piece]:
    """Return a module in pieces that end before a function or class; none if it does not parse.

    Where each piece parses, the module is their sequence, for none ends inside of brackets, a
    string or a block. Networks share pieces: 41 % of LEMUR's text is in one seen shortly before.
    """
    for texts in (_DEFINITION.split(code), [code]):
        try:
            return [_piece(text) for text in texts]
        except SyntaxError:
            continue  # a decorator, or a definition in a string: all at once
    return []


_known: dict[tuple[object, ...], str] = {}  # all of LEMUR takes 32 MB


@lru_cache(maxsize=512)
def _piece(code: str) -> _Piece:
    source, tree = stripped(code)
    lines = code.replace("\r\n", "\n").split("\n")
    return _Piece(
        source=source,
        functions=[node.name for node in tree.body if isinstance(node, ast.FunctionDef)],
        nets=[
            _complete(node)
            for node in tree.body
            if isinstance(node, ast.ClassDef) and node.name == "Net"
        ],
        imports=_imports(tree),
        statements=[_dumped(statement, lines) for statement in tree.body],  # last: takes it apart
    )


def _dumped(node: ast.stmt | ast.excepthandler, lines: list[str]) -> str:
    """Return `ast.dump` of a statement, known by its text if that was seen before.

    Of a statement with blocks that is the text before them. Takes the node apart.
    """
    if isinstance(node, ast.Pass):
        return "Pass()"  # may stand for a docstring
    blocks = {name: block for name in _BLOCKS if (block := getattr(node, name, None))}
    end, column = node.end_lineno or 0, node.end_col_offset
    if blocks:
        end, column = getattr(blocks["body"][0], "lineno", 1) - 1, None
        for name in blocks:
            setattr(node, name, [name])
    key = (*blocks, node.col_offset, column, *lines[node.lineno - 1 : end])
    if end < node.lineno or getattr(node, "decorator_list", None):
        text = ast.dump(node)  # its own text is not that of these lines
    else:
        text = _known.get(key) or _known.setdefault(key, ast.dump(node))
    for name, block in blocks.items():
        inner = ", ".join([_dumped(each, lines) for each in block])
        text = text.replace(f"{name}=[{name!r}]", f"{name}=[{inner}]", 1)
    return text


def _complete(net: ast.ClassDef) -> bool:
    """Say whether a class has the methods of the interface."""
    methods = {node.name: node for node in net.body if isinstance(node, ast.FunctionDef)}
    return methods.keys() >= _METHODS and len(methods["__init__"].args.args) == _ARGUMENTS


def _imports(tree: ast.Module) -> set[str]:
    """Return the top-level packages imported anywhere in the code; "." for relative imports."""
    found: set[str] = set()
    statements: list[ast.AST] = [tree]
    while statements:  # statements only: walking the expressions too takes five times as long
        node = statements.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add("." if node.level else (node.module or "").partition(".")[0])
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            statements.extend(getattr(node, block, ()))
    return found
