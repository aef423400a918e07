"""The LEMUR wheel as it is: read as a zip, parsed, never imported.

Layout: `ab/nn/nn/<network>.py` and
`ab/nn/stat/train/<task>_<dataset>_<metric>_<network>/<epoch>.json`, each a list of trials.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import json
import multiprocessing
import os
import re
import signal
import threading
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from deltanas.archive.base import ArchiveError
from deltanas.archive.lemur import VERSION
from deltanas.source import strip_comments

_NETWORK = re.compile(r"ab/nn/nn/(?!__init__\.py)([^/]+)\.py")
_STATISTICS = re.compile(r"ab/nn/stat/train/([^/_]+)_([^/_]+)_([^/_]+)_([^/]+)/(\d+)\.json")
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_TRANSFORM = re.compile(r"(?:norm|echo)(?:_(\d+))?(_flip)?")
_METHODS = {"__init__", "forward", "train_setup", "learn"}
_ARGUMENTS = 5  # self, in_shape, out_shape, prm, device
_CHUNK = 64  # networks handed to a worker at once


class Statistics(NamedTuple):
    """One file of training statistics: the trials of one network on one dataset at one epoch."""

    task: str
    dataset: str
    metric: str
    network: str
    epoch: int
    file: str


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
def opened(wheel: Path) -> Iterator[zipfile.ZipFile]:
    """Open a wheel of the right version.

    Raises ArchiveError, also later when an entry turns out to be damaged.
    """
    wanted = f"nn-dataset {VERSION}"
    if not wheel.is_file():
        raise ArchiveError(f"{wheel} is not a file; it must be the wheel {wanted}")
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = _name_and_version(archive)
            if found != wanted:
                raise ArchiveError(f"{wheel} is {found}; it must be the wheel {wanted}")
            yield archive
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ArchiveError(f"{wheel} is no intact zip ({error}); it must be {wanted}") from error


def _name_and_version(archive: zipfile.ZipFile) -> str:
    for name in archive.namelist():
        if _METADATA.fullmatch(name):
            text = archive.read(name).decode()
            fields = dict(re.findall(r"^(Name|Version): *(\S+)", text, re.MULTILINE))
            return f"{fields.get('Name')} {fields.get('Version')}".replace("_", "-")
    return "a zip without a wheel's metadata"


def listing(archive: zipfile.ZipFile) -> tuple[dict[str, str], list[Statistics]]:
    """Return the files of the networks by network, and the statistics, both in order of name."""
    codes: dict[str, str] = {}
    statistics: list[Statistics] = []
    for name in sorted(archive.namelist()):
        if network := _NETWORK.fullmatch(name):
            codes[network[1]] = name
        elif match := _STATISTICS.fullmatch(name):
            statistics.append(
                Statistics(match[1], match[2], match[3], match[4], int(match[5]), name)
            )
    return codes, statistics


def trials(archive: zipfile.ZipFile, statistics: Statistics) -> list[dict[str, object]]:
    """Return the rows of one file. Raises ArchiveError when it is no list of trials."""
    try:
        rows = json.loads(archive.read(statistics.file))
    except ValueError as error:
        raise ArchiveError(f"{statistics.file} in the wheel is no JSON: {error}") from error
    needed = {"accuracy", "duration", "transform", "uid"}
    if not isinstance(rows, list) or not all(needed <= row.keys() for row in rows):
        raise ArchiveError(f"{statistics.file} must be a list of trials with {sorted(needed)}")
    return rows


def recipe_columns(row: dict[str, object]) -> tuple[object, ...]:
    """Return uid, lr, momentum, batch, dropout, transform, resolution, flip and the rest as JSON.

    Resolution is in pixels, 0 for the dataset's own; it and flip are None for transforms other
    than `norm` and `echo`, whose images are complex or randomly changed.
    """
    rest = dict(row)
    for key in ("accuracy", "duration", "epoch"):
        rest.pop(key, None)
    plain = [rest.pop(key, None) for key in ("uid", "lr", "momentum", "batch", "dropout")]
    transform = str(rest.pop("transform"))
    match = _TRANSFORM.fullmatch(transform)
    return (
        *plain,
        transform,
        int(match[1] or 0) if match else None,
        match[2] is not None if match else None,
        json.dumps(rest, sort_keys=True) if rest else None,
    )


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
    gc.disable()  # a syntax tree holds no cycles: 10 % less time
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
            source = strip_comments(code)
            tree = ast.parse(source)
        except SyntaxError:
            source, tree = "", ast.parse("")
    identity = ast.dump(tree) if source else code
    return NetworkText(
        code=zlib.compress(code.encode()),
        source=zlib.compress(source.encode()),
        lines=source.count("\n"),
        chars=len(source),
        fingerprint=hashlib.sha256(identity.encode()).hexdigest()[:32],
        interface_ok=_complete(tree),
        imports=" ".join(sorted(_imports(tree))),
    )


def _complete(tree: ast.Module) -> bool:
    """Say whether a module has the whole interface: `Net`, its methods, the hyperparameters."""
    nets = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Net"]
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    if len(nets) != 1 or "supported_hyperparameters" not in functions:
        return False
    methods = {node.name: node for node in nets[0].body if isinstance(node, ast.FunctionDef)}
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
