"""`python -m deltanas`, and the console script `deltanas`."""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from deltanas.cli import search
from deltanas.cli.exits import ending
from deltanas.config.compose import CONF, register

register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _composed(node: DictConfig) -> None:
    search.start(node)


def main() -> int:
    """Run the program; return its exit code."""
    return ending("deltanas", lambda: search.program(sys.argv[1:], _composed))


if __name__ == "__main__":
    sys.exit(main())
