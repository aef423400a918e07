"""Splits are fixed where they must be, seeded where they may be, and never overlap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltanas.evaluate import DatasetError, ImageData, blank_data, load_data
from deltanas.evaluate.data import stratified_mask


def test_digits_are_the_real_ones(digits: ImageData) -> None:
    assert (len(digits.train_labels), len(digits.val_labels), len(digits.test_labels)) == (
        1137,
        300,
        360,
    )
    assert (digits.channels, digits.image_size, digits.num_classes) == (1, 8, 10)
    everything = np.concatenate([digits.images(split) for split in ("train", "val", "test")])
    levels = np.rint(np.arange(17) * 255 / 16).astype(np.uint8)
    assert set(np.unique(everything)) == set(levels)
    grey = np.searchsorted(levels, everything).sum()
    assert grey == 561718  # the sum of all pixels of scikit-learn's copy
    labels = np.concatenate([digits.labels(split) for split in ("train", "val", "test")])
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_seed_moves_validation_but_never_test(digits: ImageData) -> None:
    other = load_data("digits", seed=8)
    np.testing.assert_array_equal(other.test_images, digits.test_images)
    assert not np.array_equal(other.val_images, digits.val_images)
    again = load_data("digits", seed=7)
    np.testing.assert_array_equal(again.val_images, digits.val_images)
    np.testing.assert_array_equal(again.train_labels, digits.train_labels)


def test_majority_rate_is_the_share_of_the_largest_class(digits: ImageData) -> None:
    assert digits.majority_rate("test") == 37 / 360
    labels = np.array([0, 1, 1, 2], dtype=np.int64)
    images = np.zeros((4, 1, 2, 2), np.uint8)
    data = replace(
        blank_data(image_size=2, channels=1, num_classes=3), val_images=images, val_labels=labels
    )
    assert data.majority_rate("val") == 0.5


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DatasetError, match="'digitz'; there are: digits"):
        load_data("digitz", seed=0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train_images", np.zeros((3, 1, 4, 4), np.float32), "must be uint8 and int64"),
        ("val_images", np.zeros((3, 1, 5, 5), np.uint8), "the same C and S"),
        ("test_images", np.zeros((3, 1, 4, 5), np.uint8), "the same C and S"),
        ("val_labels", np.zeros(2, np.int64), "3 images with labels of shape"),
        ("test_labels", np.array([0, 1, 3], np.int64), r"lie in 0\.\.3; they must lie in 0\.\.2"),
    ],
)
def test_parts_that_do_not_fit_are_refused(field: str, value: np.ndarray, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        replace(blank_data(image_size=4, channels=1, num_classes=3), **{field: value})


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=8).filter(lambda c: sum(c) > 1),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**63),
)
def test_a_stratified_part_has_its_size_and_its_shares(
    counts: list[int], share: float, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    size = min(max(1, round(share * len(labels))), len(labels) - 1)
    mask = stratified_mask(labels, size, seed)
    assert mask.sum() == size
    taken = np.bincount(labels[mask], minlength=len(counts))
    assert (np.abs(taken - np.array(counts) * size / len(labels)) <= 1).all()


def test_a_part_as_large_as_the_whole_is_refused() -> None:
    with pytest.raises(DatasetError, match="cannot carve 3 of 3"):
        stratified_mask(np.zeros(3, np.int64), 3, 0)
