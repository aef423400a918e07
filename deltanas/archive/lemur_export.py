"""Networks with their training statistics in LEMUR's own layout, as files by their path.

The layout is that of `lemur_wheel`, so that LEMUR's package finds them where its own are, and so
does an import. Names follow LEMUR's rule: a prefix, and the MD5 of the source without blanks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deltanas.archive.base import ArchiveError
from deltanas.archive.lemur import DATASETS
from deltanas.records import Recipe, Scaling

PREFIX = "delta"
_SIZES = frozenset({32, 64, 128, 256, 299, 512})  # pixels, for which LEMUR has transforms
_NATIVE = {"digits": 8, **{name: one.native for name, one in DATASETS.items() if name != "digits"}}
_TRANSFORM = """\
import torchvision.transforms as transforms


def transform({argument}):
    return transforms.Compose([
        {steps}])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One network, and how it ended after one epoch on a data set: once for every seed."""

    code: str
    dataset: str  # by our name
    recipe: Recipe
    trials: tuple[tuple[float, float], ...]  # test accuracy in [0, 1], seconds of training


def lemur_name(code: str) -> str:
    """Return the name of a network."""
    return f"{PREFIX}-{_md5(code)}"


def lemur_files(networks: Iterable[Trained]) -> dict[str, str]:
    """Return the text of every file by its path, from `ab` on.

    Trials of equal sources on one data set are one list, the best first. Transforms that LEMUR
    lacks are written too. Raises ArchiveError for a recipe that no transform of LEMUR's makes,
    for a data set whose name cannot be a folder's, and for two sources of one name.
    """
    files: dict[str, str] = {}
    trials: dict[str, list[dict[str, Any]]] = {}
    for network in networks:
        name, recipe = lemur_name(network.code), network.recipe
        if files.setdefault(f"ab/nn/nn/{name}.py", network.code) != network.code:
            raise ArchiveError(
                f"two networks that differ in their blanks only have the name {name}; it must be"
                " that of one source"
            )
        transform = _transform_of(network.dataset, recipe)
        known = (*_SIZES, _NATIVE.get(network.dataset))
        if not recipe.transform and recipe.image_size not in known:
            files[f"ab/nn/transform/{transform}.py"] = _transform_file(recipe)
        task = f"img-classification_{_dataset(network.dataset)}_acc_{name}"
        trials.setdefault(f"ab/nn/stat/train/{task}/1.json", []).extend(
            _trial(recipe, transform, *each) for each in network.trials
        )
    for path, rows in trials.items():
        rows.sort(key=lambda row: -row["accuracy"])
        files[path] = json.dumps(rows, indent=4, allow_nan=False)
    return files


def _dataset(name: str) -> str:
    """Return LEMUR's name of a data set; of one that it lacks, ours.

    LEMUR parts the names of its folders at underscores.
    """
    if not re.fullmatch(r"[\w.-]+", name) or ".." in name:
        raise ArchiveError(
            f"the data set is called {name!r}; a name that becomes a folder's holds letters,"
            " digits, single dots and hyphens only"
        )
    if "_" in name:
        raise ArchiveError(f"the data set is called {name}; LEMUR takes no name with a _ in it")
    return DATASETS[name].name if name in DATASETS and name != "digits" else name


def _trial(recipe: Recipe, transform: str, accuracy: float, seconds: float) -> dict[str, Any]:
    prm: dict[str, Any] = {
        "batch": recipe.batch,
        "dropout": recipe.dropout,
        "lr": recipe.lr,
        "momentum": recipe.momentum,
        "transform": transform,
    }
    prm = {key: value for key, value in prm.items() if value is not None}
    told = {"accuracy": accuracy, "duration": max(1, round(seconds * 1e9)), "uid": _md5(str(prm))}
    return dict(sorted({**prm, **told}.items()))


def _md5(text: str) -> str:
    plain = re.sub(r"\s", "", text)
    return hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest()


def _transform_of(dataset: str, recipe: Recipe) -> str:
    if recipe.transform:
        return recipe.transform
    if recipe.scaling is Scaling.complex:
        raise ArchiveError(
            "a recipe with complex images and no name of LEMUR's transform cannot be written"
        )
    size = "" if recipe.image_size == _NATIVE.get(dataset) else f"_{recipe.image_size}"
    return f"{recipe.scaling}{size}{'_flip' if recipe.flip else ''}"


def _transform_file(recipe: Recipe) -> str:
    size = recipe.image_size
    steps = [f"transforms.Resize({size})", f"transforms.CenterCrop({size})"]
    steps += ["transforms.RandomHorizontalFlip()"] if recipe.flip else []
    steps += ["transforms.ToTensor()"]
    normed = recipe.scaling is Scaling.norm
    steps += ["transforms.Normalize(*norm)"] if normed else []
    return _TRANSFORM.format(argument="norm" if normed else "_", steps=",\n        ".join(steps))
