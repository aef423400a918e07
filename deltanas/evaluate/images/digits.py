"""The handwritten digits that travel inside the package."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import as_file, files

import numpy as np

from deltanas.evaluate.images.image_data import (
    DatasetError,
    ImageData,
    Split,
    in_memory,
    stratified_mask,
)

IMAGE_SIZE = 8  # pixels
VALIDATION = 300  # of the 1,437 digits that are not in the test split


def load_digits(seed: int, image_size: int | None = None) -> ImageData:
    """Handwritten digits: 1,797 grey images, 8 x 8, 10 classes; 1,137 train, 300 val, 360 test.

    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998 (CC BY 4.0): its test part, as in scikit-learn's `load_digits` (BSD-3-Clause).
    `digits.npz` holds images (values 0..16), labels, and the mask of the test split, which was
    drawn once, stratified. Raises DatasetError for another image size.
    """
    if image_size not in (None, IMAGE_SIZE):
        raise DatasetError(
            f"digits are stored at {IMAGE_SIZE} pixels, not {image_size};"
            f" dataset.image_size must be {IMAGE_SIZE}"
        )
    with (
        as_file(files("deltanas.evaluate.images") / "digits.npz") as path,
        np.load(path, allow_pickle=False) as stored,
    ):
        grey = np.rint(stored["images"] * (255 / 16)).astype(np.uint8)[:, None]  # (N, 1, 8, 8)
        labels = stored["labels"].astype(np.int64)
        test = stored["test"]
    images, targets = grey[~test], labels[~test]
    val = stratified_mask(targets, VALIDATION, seed)
    # UCI's file goes through the digits again and again, so its order would tell the labels, and
    # one drawn from a seed could be undone; that of the images' hashes tells only the images
    val_order = sorted(np.flatnonzero(val), key=lambda i: sha256(images[i].tobytes()).digest())
    test_order = sorted(np.flatnonzero(test), key=lambda i: sha256(grey[i].tobytes()).digest())
    return in_memory(
        "digits",
        {
            Split.TRAIN: (images[~val], targets[~val]),
            Split.VAL: (images[val_order], targets[val_order]),
            Split.TEST: (grey[test_order], labels[test_order]),
        },
        num_classes=10,
    )
