"""What a run began with that is the user's own, so that it goes on with the same and no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from deltanas.config.choices import ArchiveName
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config
from deltanas.evaluate.images.image_data import ImageData
from deltanas.records import Baseline, Recipe
from deltanas.report.formats import visible

OWN = "own"  # the key in the run's file
_NAMED = 5  # networks at most that a message names
_MEND = (
    "To go on with the run or to replay it, put them back as they were; a new run takes what is"
    " there, in another hydra.run.dir"
)


def checked_own(
    held: Mapping[str, Any] | None,
    config: Config,
    data: Mapping[str, ImageData],
    pools: Mapping[str, Sequence[Baseline]],
) -> dict[str, Any]:
    """Return what is the user's own now. Raises ConfigError where it is not what was `held`."""
    found = own_data(config, data, pools)
    check_own(held, found, config)
    return found


def own_data(
    config: Config, data: Mapping[str, ImageData], pools: Mapping[str, Sequence[Baseline]]
) -> dict[str, Any]:
    """Return a digest of every image set, and of every network, that is the user's own."""
    own = config.archive.name is ArchiveName.folder
    return {
        "images": {name: one.state for name, one in data.items() if one.state},
        "networks": {
            name: {each.baseline_id: _digest(each) for each in pool}
            for name, pool in pools.items()
            if own
        },
    }


def check_own(held: Mapping[str, Any] | None, found: Mapping[str, Any], config: Config) -> None:
    """Raise ConfigError where images or networks are not those that a run began with.

    `held` is what was stored then; None: the run began with an earlier version, or begins now.
    """
    if held is None:
        return
    for one in config.dataset.sets():
        if held["images"].get(one.name) != found["images"].get(one.name):
            raise ConfigError(
                f"the images of {one.root} are not those that the run began with: a file was"
                f" added, changed or taken away, by its name, size or time of change. {_MEND}"
            )
        networks = (each["networks"].get(one.name, {}) for each in (held, found))
        if changes := "; ".join(_changes(*networks)):
            raise ConfigError(
                f"the networks of {config.archive.path} are not those that the run began with"
                f" ({visible(changes)}). {_MEND}"
            )


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Yield what became of networks, with their names."""
    both = before.keys() & after.keys()
    kinds = {
        "changed": {name for name in both if before[name] != after[name]},
        "gone": before.keys() - both,
        "new": after.keys() - both,
    }
    for kind, names in kinds.items():
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield f"{kind}: {', '.join(sorted(names)[:_NAMED])}{more}"


def _digest(baseline: Baseline) -> str:
    """Return a hash of code and recipe; settings of a recipe that come later do not change it."""
    recipe = {
        each.name: value
        for each in fields(Recipe)
        if (value := getattr(baseline.recipe, each.name)) != each.default
    }
    text = json.dumps([baseline.code, recipe], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
