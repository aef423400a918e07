"""How `deltanas-evaluate` trains a network; in a search every baseline has its own recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from omegaconf import MISSING, OmegaConf

from deltanas.config.ranges import ConfigError, bounded, faults_of


@dataclass
class RecipeConfig:
    """Words `recipe.*` of the command line."""

    lr: float = bounded(MISSING, 0.0, open_low=True)  # of SGD
    momentum: float = bounded(MISSING, 0.0, 1.0)  # of SGD
    batch: int = bounded(MISSING, 1)  # images per step
    image_size: int = bounded(MISSING, 1, 512)  # pixels that images are resized to
    flip: bool = MISSING  # random horizontal flips of training images
    dropout: float | None = bounded(MISSING, 0.0, 1.0)  # null: prm has no dropout


def recipe_from(defaults: Mapping[str, Any], words: Sequence[str]) -> RecipeConfig:
    """Return the recipe of these defaults, changed by words such as `recipe.lr=0.1`.

    Raises ConfigError, and OmegaConf's errors for unknown keys and values of another type.
    """
    known = {each.name: defaults[each.name] for each in fields(RecipeConfig)}
    schema = OmegaConf.create({"recipe": OmegaConf.structured(RecipeConfig(**known))})
    node = OmegaConf.merge(schema, OmegaConf.from_dotlist(list(words)))
    recipe: Any = OmegaConf.to_object(node.recipe)
    faults = list(faults_of(recipe, "recipe."))
    if faults:
        raise ConfigError("\n".join(faults))
    return RecipeConfig(**vars(recipe))
