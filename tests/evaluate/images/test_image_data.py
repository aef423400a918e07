"""Splits are fixed where they must be, seeded where they may be, and never overlap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltanas.evaluate import DatasetError, ImageData, blank_data, load_data
from deltanas.evaluate.images.image_data import in_memory, stratified_mask


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
    np.testing.assert_array_equal(other.images("test"), digits.images("test"))
    assert not np.array_equal(other.images("val"), digits.images("val"))
    again = load_data("digits", seed=7)
    np.testing.assert_array_equal(again.images("val"), digits.images("val"))
    np.testing.assert_array_equal(again.train_labels, digits.train_labels)


def test_majority_rate_is_the_share_of_the_largest_class(digits: ImageData) -> None:
    assert digits.majority_rate("test") == 37 / 360
    labels = np.array([0, 1, 1, 2], dtype=np.int64)
    data = replace(blank_data(image_size=2, channels=1, num_classes=4), val_labels=labels)
    assert data.majority_rate("val") == 0.5


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        DatasetError, match="'digitz'; there are: digits, cifar10, cifar100, mnist"
    ):
        load_data("digitz", seed=0)


def test_digits_have_one_size() -> None:
    with pytest.raises(DatasetError, match=r"8 pixels, not 16; dataset\.image_size must be 8"):
        load_data("digits", seed=0, image_size=16)


FEW = np.array([0, 1], np.int64)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pixels", np.zeros((9, 1, 4, 4), np.float32), "are float32 of shape .* must be uint8"),
        ("pixels", np.zeros((9, 1, 4, 5), np.uint8), r"must be uint8 of shape \(N, C, S, S\)"),
        ("pixels", np.zeros((8, 1, 4, 4), np.uint8), r"test: rows lie in 6\.\.8; .* in 0\.\.7"),
        ("val_rows", FEW.astype(np.int32), "val: rows are int32, labels int64; both must be"),
        ("val_labels", FEW, r"val: rows have shape \(3,\), labels \(2,\); there must be"),
        ("test_labels", np.array([0, 1, 3]), r"lie in 0\.\.3; they must lie in 0\.\.2"),
        ("val_rows", np.array([2, 4, 5]), "1 images are in more than one split"),
        ("mean", (1.0, 2.0), "of 2 channels are given; the images have 1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        replace(blank_data(image_size=4, channels=1, num_classes=3), **{field: value})


def test_images_of_different_shapes_are_no_set() -> None:
    part, other = ((np.zeros((1, 1, size, size), np.uint8), FEW[:1]) for size in (4, 5))
    with pytest.raises(DatasetError, match="with the same C and S"):
        in_memory("x", {"train": part, "val": other, "test": part}, num_classes=1)


def test_means_are_those_of_the_training_images_unless_given(digits: ImageData) -> None:
    mean, std = digits.channel_statistics()
    images = digits.images("train").astype(np.float64)
    assert (mean, std) == (pytest.approx((images.mean(),)), pytest.approx((images.std(),)))
    given = replace(digits, mean=(3.0,), std=(4.0,))
    assert given.channel_statistics() == ((3.0,), (4.0,))
    assert blank_data(image_size=4, channels=3, num_classes=2).channel_statistics()[1] == (1, 1, 1)


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
