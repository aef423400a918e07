"""What a search calls new: its measure, and what a run's file must say of it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from deltanas.config.choices import NoveltyMeasure
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config
from deltanas.record.store import RunStore
from deltanas.screen.novelty import NoveltyIndex


def novelty_index(config: Config) -> NoveltyIndex | None:
    """Return an index without networks, as the configuration defines similarity.

    None where graphs tell, which the jail finds out.
    """
    novelty = config.novelty
    if novelty.measure is NoveltyMeasure.graph:
        return None
    return NoveltyIndex(
        permutations=novelty.permutations,
        shingle=novelty.shingle,
        threshold=novelty.threshold,
        trees=novelty.measure is NoveltyMeasure.tree,
    )


def novelty_definition(config: Config) -> Mapping[str, str | int]:
    """Return what similarities mean: those of two runs compare where this is equal."""
    index = novelty_index(config)
    if index is not None:
        return index.definition
    # which operators a layer consists of is torch's affair
    return {
        "measure": "equal graphs",
        "graph": "operators, constants and dataflow of construction and a forward pass",
        "torch": version("torch").partition("+")[0],
    }


def check_novelty(store: RunStore, config: Config, directory: Path) -> None:
    """Raise ConfigError where similarity meant another thing in the run, or may have."""
    ours = novelty_definition(config)
    theirs = store.meta("novelty")
    if theirs is None and store.attempts():
        raise ConfigError(
            f"{directory} does not tell how it measured novelty, as an earlier version made it;"
            " it can be reported and replayed, but not gone on with"
        )
    if theirs is not None and theirs != ours:
        raise ConfigError(
            f"{directory} measured novelty as {theirs}, this program measures it as {ours};"
            " similarities do not compare, so the run cannot go on here"
        )
