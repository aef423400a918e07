"""The six image sets of the paper, read by torchvision's own classes.

Counts and splits are the publishers', without SVHN's extra images and CelebA's validation part.
Means and deviations are the constants of LEMUR's loaders (nn-dataset 2.1.2). torchvision is
imported when a set is made, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deltanas.evaluate.images.source import Dataset, Part, Source

CELEBA_MALE = 20  # position of the attribute "Male" among CelebA's 40, counted from 0
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenette_folder(image_size: int) -> str:
    """Return the folder of the smallest edition whose shorter side has `image_size` pixels."""
    return "imagenette2" + ("-160" if image_size <= 160 else "-320" if image_size <= 320 else "")


def _make_flagged(kind: str, root: Path, part: Part, image_size: int, **options: Any) -> Dataset:
    from torchvision import datasets

    made: Dataset = getattr(datasets, kind)(root, train=part is Part.TRAIN, **options)
    return made


def _make_svhn(root: Path, part: Part, image_size: int, **options: Any) -> Dataset:
    from torchvision import datasets

    made: Dataset = datasets.SVHN(root, part, **options)
    return made


def _make_imagenette(root: Path, part: Part, image_size: int, **options: Any) -> Dataset:
    from torchvision import datasets

    _, dash, pixels = imagenette_folder(image_size).partition("-")
    official = "train" if part is Part.TRAIN else "val"
    made: Dataset = datasets.Imagenette(
        root, official, f"{pixels}px" if dash else "full", **options
    )
    return made


def _make_celeba(root: Path, part: Part, image_size: int, **options: Any) -> Dataset:
    from torchvision import datasets

    made: Dataset = datasets.CelebA(
        root, part, target_transform=lambda attributes: attributes[CELEBA_MALE], **options
    )
    return made


def _under(folder: str, *names: str) -> Callable[[int], tuple[str, ...]]:
    """Return what gives the paths of files in a folder, the same for every image size."""
    paths = tuple(f"{folder}/{name}" for name in names)
    return lambda image_size: paths


_ALL = (
    Source(
        name="cifar10",
        title="CIFAR-10",
        make=partial(_make_flagged, "CIFAR10"),
        files=_under(
            "cifar-10-batches-py",
            *(f"data_batch_{number}" for number in range(1, 6)),
            "test_batch",
            "batches.meta",
        ),
        origin="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz and unpack it in",
        image_size=32,
        channels=3,
        num_classes=10,
        counts={Part.TRAIN: 50_000, Part.TEST: 10_000},
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
    ),
    Source(
        name="cifar100",
        title="CIFAR-100",
        make=partial(_make_flagged, "CIFAR100"),
        files=_under("cifar-100-python", "train", "test", "meta"),
        origin="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz and unpack it in",
        image_size=32,
        channels=3,
        num_classes=100,
        counts={Part.TRAIN: 50_000, Part.TEST: 10_000},
        mean=(0.5071, 0.4867, 0.4408),
        std=(0.2675, 0.2565, 0.2761),
    ),
    Source(
        name="mnist",
        title="MNIST",
        make=partial(_make_flagged, "MNIST"),
        files=_under(
            "MNIST/raw",
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
        ),
        origin="their .gz from https://ossci-datasets.s3.amazonaws.com/mnist/ and unpack them in",
        image_size=28,
        channels=1,
        num_classes=10,
        counts={Part.TRAIN: 60_000, Part.TEST: 10_000},
        mean=(0.1307,),
        std=(0.3081,),
    ),
    Source(
        name="svhn",
        title="SVHN",
        make=_make_svhn,
        files=lambda image_size: ("train_32x32.mat", "test_32x32.mat"),
        origin="them from http://ufldl.stanford.edu/housenumbers/ and put them in",
        image_size=32,
        channels=3,
        num_classes=10,
        counts={Part.TRAIN: 73_257, Part.TEST: 26_032},
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
    ),
    Source(
        name="imagenette",
        title="Imagenette",
        make=_make_imagenette,
        files=lambda image_size: (imagenette_folder(image_size),),
        origin="its .tgz from https://s3.amazonaws.com/fast-ai-imageclas/ and unpack it in",
        image_size=64,
        channels=3,
        num_classes=10,
        counts={Part.TRAIN: 9_469, Part.TEST: 3_925},
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
    ),
    Source(
        name="celeba",
        title="CelebA",
        make=_make_celeba,
        files=_under(
            "celeba",
            "img_align_celeba",
            "list_attr_celeba.txt",
            "identity_CelebA.txt",
            "list_bbox_celeba.txt",
            "list_landmarks_align_celeba.txt",
            "list_eval_partition.txt",
        ),
        origin="gdown (pip install gdown) and run again: torchvision downloads CelebA with it;\n"
        "or get img_align_celeba.zip and the lists from"
        " https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and unpack them in celeba/ of",
        image_size=64,
        channels=3,
        num_classes=2,
        counts={Part.TRAIN: 162_770, Part.TEST: 19_962},
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
    ),
)
SOURCES: Mapping[str, Source] = MappingProxyType({source.name: source for source in _ALL})
