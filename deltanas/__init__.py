"""Neural architecture search by deltas.

Three calls are for notebooks: `run` searches, `open_run` reads what a search wrote, and
`evaluate_network` trains one network in the jail. They are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltanas.cli.api import Run, evaluate_network, open_run, run

__all__ = ["Run", "evaluate_network", "open_run", "run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from deltanas.cli import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
