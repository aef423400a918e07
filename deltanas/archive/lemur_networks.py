"""What is stored about each network of LEMUR, found from its text; nothing is imported or run."""

from __future__ import annotations

import ast
import multiprocessing
import os
import signal
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from deltanas.source import statements, stripped, tree_fingerprint

_METHODS = {"__init__", "forward", "train_setup", "learn"}
_ARGUMENTS = 5  # self, in_shape, out_shape, prm, device
_CHUNK = 64  # networks handed to a worker at once


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkText:
    """What is stored about one network besides its name; the defaults when it does not parse."""

    code: bytes  # zlib of the file as it is
    source: bytes = zlib.compress(b"")  # of the code without comments
    lines: int = 0  # of the source
    chars: int = 0
    fingerprint: str = ""  # of `source.fingerprint`
    interface_ok: bool = False
    imports: str = ""  # top-level packages, sorted, separated by spaces


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
        try:
            tree = ast.parse(code)
        except SyntaxError:
            return NetworkText(code=zlib.compress(code.encode()))
    source = stripped(code, tree)
    return NetworkText(
        code=zlib.compress(code.encode()),
        source=zlib.compress(source.encode()),
        lines=source.count("\n"),
        chars=len(source),
        interface_ok=_interface_ok(tree),
        imports=" ".join(sorted(_imports(tree))),
        fingerprint=tree_fingerprint(tree),
    )


def _interface_ok(tree: ast.Module) -> bool:
    """Say whether there is one class `Net` with all methods, and `supported_hyperparameters`."""
    nets = [
        {method.name: method for method in node.body if isinstance(method, ast.FunctionDef)}
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Net"
    ]
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return (
        len(nets) == 1
        and nets[0].keys() >= _METHODS
        and len(nets[0]["__init__"].args.args) == _ARGUMENTS
        and "supported_hyperparameters" in functions
    )


def _imports(tree: ast.Module) -> set[str]:
    """Return the top-level packages imported anywhere in the code; "." for relative imports."""
    found: set[str] = set()
    for node in statements(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add("." if node.level else (node.module or "").partition(".")[0])
    return found
