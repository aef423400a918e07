"""The command that trains a network of a run again, as the file that holds it tells."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from deltanas.records import Run


def command_again(run: Run, dataset: str) -> str:
    """Return the command, as a shell reads it, with what is not as `dataset` has it by itself.

    No two underscores stand together in it, as texts in a network's file have none.
    """
    words = (shlex.quote(word) for word in _words(run.meta.get("config") or {}, dataset))
    line = " ".join(["deltanas-evaluate THIS_FILE", *words])
    return re.sub("_(?=_)", "_''", line)  # an empty text, whether quotes are open or not


def _words(config: Mapping[str, Any], dataset: str) -> Iterator[str]:
    """Yield the overrides: seed, trainer, and of the image set what its option does not say."""
    from deltanas.config.overrides import override
    from deltanas.config.schema import ArchiveConfig, TrainerConfig

    if "seed" in config:
        yield override("seed", config["seed"])
    usual = {f"trainer.{key}": value for key, value in asdict(TrainerConfig()).items()}
    usual["archive.max_image_size"] = ArchiveConfig.max_image_size  # which bounds the images
    for name, value in usual.items():
        group, _, key = name.partition(".")
        if (found := (config.get(group) or {}).get(key, value)) != value:
            yield override(name, found)
    held = config.get("dataset") or {}
    members = (held.get("members") or {}).values()
    one = next((each for each in members if each["name"] == dataset), held)
    option = "folder" if one.get("class_folders") else dataset
    if option != dataset:
        yield f"dataset={option}"
    told = {**one, "root": one.get("root") or held.get("root")}
    for key, value in _option(option).items():
        if told.get(key, value) != value:
            yield override(f"dataset.{key}", told[key])


def _option(name: str) -> dict[str, Any]:
    """Return what an option of the group `dataset` says of one image set."""
    from omegaconf import OmegaConf

    from deltanas.config.compose import CONF
    from deltanas.config.schema import ImageSetConfig

    node = OmegaConf.structured(ImageSetConfig(name=name))
    path = CONF / "dataset" / f"{name}.yaml"
    found: Any = OmegaConf.to_container(
        OmegaConf.merge(node, OmegaConf.load(path)) if path.is_file() else node
    )
    return dict(found)
