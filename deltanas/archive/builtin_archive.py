"""The built-in networks: compact image classifiers that travel inside the package.

Their files under `builtin/` have the LEMUR interface and are data: read as text, never imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from statistics import mode
from types import MappingProxyType

from deltanas.archive.base import ArchiveError
from deltanas.records import Baseline, Recipe
from deltanas.source import strip_comments

IMAGE_SIZES: Mapping[str, int] = MappingProxyType(
    {
        "digits": 8,
        "mnist": 28,
        "svhn": 32,
        "cifar10": 32,
        "cifar100": 32,
        "imagenette": 64,
        "celeba": 64,
    }
)  # pixels; the images of the last two are larger and are resized
SMALLEST_IMAGE = 8  # pixels; below it the feature maps of some networks vanish
WITHOUT_FLIP = frozenset({"digits", "mnist", "svhn"})  # a mirrored digit is another sign
OWN: Mapping[str, int] = MappingProxyType({})  # image sizes of the user's own sets: there are none


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinNetwork:
    """What the archive adds to one file of `builtin/`: family and recipe."""

    family: str  # variants of one architecture share it
    lr: float  # found by trials of one epoch of digits
    momentum: float = 0.9
    batch: int = 32
    dropout: float | None = None  # for networks that read prm["dropout"]


NETWORKS: Mapping[str, BuiltinNetwork] = MappingProxyType(
    {
        "alexnet": BuiltinNetwork(family="alexnet", lr=0.01, dropout=0.2),
        "all_conv": BuiltinNetwork(family="all_conv", lr=0.03, dropout=0.1),
        "cbam": BuiltinNetwork(family="cbam", lr=0.03),
        "convmixer": BuiltinNetwork(family="convmixer", lr=0.1),
        "convnext": BuiltinNetwork(family="convnext", lr=0.05),
        "densenet": BuiltinNetwork(family="densenet", lr=0.03, momentum=0.6),
        "dilated_cnn": BuiltinNetwork(family="dilated_cnn", lr=0.06),
        "eca_net": BuiltinNetwork(family="eca_net", lr=0.03, dropout=0.2),
        "fractalnet": BuiltinNetwork(family="fractalnet", lr=0.03, dropout=0.2),
        "gated_cnn": BuiltinNetwork(family="gated_cnn", lr=0.03, dropout=0.2),
        "ghostnet": BuiltinNetwork(family="ghostnet", lr=0.03, dropout=0.2),
        "highway": BuiltinNetwork(family="highway", lr=0.1),
        "hourglass": BuiltinNetwork(family="hourglass", lr=0.01),
        "inception": BuiltinNetwork(family="inception", lr=0.03, dropout=0.2),
        "inception_factored": BuiltinNetwork(family="inception", lr=0.03),
        "lenet": BuiltinNetwork(family="lenet", lr=0.08),
        "mlp_mixer": BuiltinNetwork(family="mlp_mixer", lr=0.05, dropout=0.1),
        "mobilenet_v1": BuiltinNetwork(family="mobilenet", lr=0.03),
        "mobilenet_v2": BuiltinNetwork(family="mobilenet", lr=0.03, dropout=0.2),
        "multi_scale": BuiltinNetwork(family="multi_scale", lr=0.03, dropout=0.2),
        "nin": BuiltinNetwork(family="nin", lr=0.2, momentum=0.6, dropout=0.1),
        "plain_cnn": BuiltinNetwork(family="plain_cnn", lr=0.1, batch=16, dropout=0.2),
        "plain_cnn_bn": BuiltinNetwork(family="plain_cnn", lr=0.03),
        "poolformer": BuiltinNetwork(family="poolformer", lr=0.03),
        "repvgg": BuiltinNetwork(family="repvgg", lr=0.03),
        "res2net": BuiltinNetwork(family="res2net", lr=0.03, dropout=0.2),
        "resnet_basic": BuiltinNetwork(family="resnet", lr=0.03),
        "resnet_bottleneck": BuiltinNetwork(family="resnet", lr=0.03, dropout=0.2),
        "resnet_preact": BuiltinNetwork(family="resnet", lr=0.03),
        "resnext": BuiltinNetwork(family="resnext", lr=0.03),
        "senet": BuiltinNetwork(family="senet", lr=0.03),
        "shufflenet": BuiltinNetwork(family="shufflenet", lr=0.03),
        "squeezenet": BuiltinNetwork(family="squeezenet", lr=0.03, dropout=0.2),
        "vgg": BuiltinNetwork(family="vgg", lr=0.03, dropout=0.2),
        "vgg_blocks": BuiltinNetwork(family="vgg", lr=0.03, dropout=0.2),
        "vit": BuiltinNetwork(family="vit", lr=0.03),
        "vit_conv": BuiltinNetwork(family="vit", lr=0.01),
        "wide_resnet": BuiltinNetwork(family="wide_resnet", lr=0.03, dropout=0.1),
    }
)  # by file stem


class BuiltinArchive:
    """The networks of `builtin/`, each usable on every dataset; implements `Archive`."""

    name = "builtin"

    def __init__(self, own: Mapping[str, int] = OWN) -> None:
        """Know the image sizes, in pixels, of the user's own sets by name."""
        self._own = own

    def baselines(
        self, *, dataset: str, max_image_size: int | None = None, max_lines: int | None = None
    ) -> list[Baseline]:
        """Return every network that has at most `max_lines` lines, by name.

        The networks adapt to their input: `max_image_size` shrinks the images of the recipes and
        leaves nothing out, down to `SMALLEST_IMAGE` pixels.
        Raises ArchiveError for an unknown dataset and where nothing is left.
        """
        image_size = _image_size(dataset, max_image_size, self._own)
        if image_size < SMALLEST_IMAGE:
            raise ArchiveError(
                f"the built-in networks were asked for images of at most {max_image_size} pixels;"
                f" they need {SMALLEST_IMAGE}"
            )
        sources = {stem: source(stem) for stem in sorted(NETWORKS)}
        found = [
            Baseline(
                baseline_id=stem,
                family=NETWORKS[stem].family,
                code=code,
                recipe=_recipe(NETWORKS[stem], dataset, image_size, self._own),
            )
            for stem, code in sources.items()
            if _fits(code, max_lines)
        ]
        if not found:
            shortest = min(code.count("\n") for code in sources.values())
            raise ArchiveError(
                f"the built-in networks were asked for code of at most {max_lines} lines;"
                f" the shortest has {shortest}"
            )
        return found

    def left_out(
        self, *, dataset: str, max_image_size: int | None = None, max_lines: int | None = None
    ) -> dict[str, int]:
        """Return how many networks `baselines` leaves out, under "image_size" and "lines"."""
        if _image_size(dataset, max_image_size, self._own) < SMALLEST_IMAGE:
            return {"image_size": len(NETWORKS), "lines": 0}
        long = sum(not _fits(source(stem), max_lines) for stem in NETWORKS)
        return {"image_size": 0, "lines": long}


def common_recipe(
    dataset: str, max_image_size: int | None = None, own: Mapping[str, int] = OWN
) -> Recipe:
    """Return the recipe for a network of which nothing is known: the commonest of every value.

    It offers dropout, which networks that do not read it ignore. Image size and flips are those
    of the dataset, which is known or the user's `own`. Raises ArchiveError for any other.
    """
    known = NETWORKS.values()
    common = BuiltinNetwork(
        family="",
        lr=mode(one.lr for one in known),
        momentum=mode(one.momentum for one in known),
        batch=mode(one.batch for one in known),
        dropout=mode(one.dropout for one in known if one.dropout is not None),
    )
    return _recipe(common, dataset, _image_size(dataset, max_image_size, own), own)


@cache
def source(stem: str) -> str:
    """Return the comment-free source of one built-in network, by its key in `NETWORKS`."""
    path = files("deltanas.archive").joinpath("builtin", f"{stem}.py")
    return strip_comments(path.read_text(encoding="utf-8"))


def _fits(code: str, max_lines: int | None) -> bool:
    return max_lines is None or code.count("\n") <= max_lines


def _image_size(dataset: str, max_image_size: int | None, own: Mapping[str, int]) -> int:
    native = own.get(dataset) or IMAGE_SIZES.get(dataset)
    if native is None:
        raise ArchiveError(
            f"the built-in networks know no dataset {dataset!r}; there are:"
            f" {', '.join(sorted(IMAGE_SIZES))}"
        )
    return native if max_image_size is None else min(native, max_image_size)


def _recipe(
    network: BuiltinNetwork, dataset: str, image_size: int, own: Mapping[str, int]
) -> Recipe:
    return Recipe(
        lr=network.lr,
        momentum=network.momentum,
        batch=network.batch,
        image_size=image_size,
        flip=dataset not in own and dataset not in WITHOUT_FLIP,  # own images may be signs too
        dropout=network.dropout,
    )
