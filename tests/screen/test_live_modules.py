"""No chain of permitted names leads from a permitted module to another one that is loaded."""

from __future__ import annotations

import builtins
import importlib
import json
import subprocess
import sys
import types
from collections.abc import Iterator

from deltanas.screen.policy_lists import BUILTINS, MODULES, denied_in_module

OPTIONAL = {"einops"}  # not installed with this project
# of these, functions and classes as well
FORBIDDEN = {"concurrent", "importlib", "io", "_io", "multiprocessing", "os", "pathlib"} | {
    "posix",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
}


def root(name: object) -> str:
    return str(name).partition(".")[0]


def reached() -> Iterator[tuple[str, object]]:
    """Yield path and value of all that the permitted modules hold, other permitted ones too."""
    waiting = [(name, importlib.import_module(name)) for name in sorted(MODULES - OPTIONAL)]
    seen: set[int] = set()
    while waiting:
        path, module = waiting.pop(0)
        if id(module) in seen:
            continue
        seen.add(id(module))
        for name, value in list(vars(module).items()):
            if denied_in_module(name) or not name.isidentifier():
                continue
            yield f"{path}.{name}", value
            if isinstance(value, types.ModuleType) and root(value.__name__) in MODULES:
                waiting.append((f"{path}.{name}", value))


def strays() -> dict[str, str]:
    """Return the path of each thing that may be reached and must not, by its name."""
    runs_code = {id(getattr(builtins, name)) for name in BUILTINS if hasattr(builtins, name)}
    found = {}
    for path, value in reached():
        if isinstance(value, types.ModuleType):
            stray = root(value.__name__) not in MODULES
        else:
            owner = getattr(value, "__module__", "") if callable(value) else ""
            stray = id(value) in runs_code or root(owner) in FORBIDDEN
        if stray:
            found.setdefault(path.rpartition(".")[2], path)
    return found


def test_nothing_off_the_list_is_reached_through_a_library() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", __file__], capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == {}, "add these names to names._STRAY"


if __name__ == "__main__":  # a process that holds what a candidate's does, and no more
    importlib.import_module("deltanas.evaluate.zygote")
    sys.stdout.write(json.dumps(strays()))
