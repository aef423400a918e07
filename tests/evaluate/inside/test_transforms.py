"""What a network sees of an image: LEMUR's transforms, done on a whole batch."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from deltanas.evaluate.inside import training_data
from deltanas.evaluate.inside.training_data import TrainingBatches, TrainingData
from deltanas.records import Recipe

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
RECIPE = Recipe(lr=0.1, momentum=0.9, batch=4, image_size=32, flip=False)
ROWS = torch.tensor([3, 0, 5])
COMPLEX = transforms.Lambda(lambda image: image.type(torch.complex64))  # LEMUR's ToComplex64


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Six images of noise and their normalisation."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), np.uint8)
    return TrainingData(
        pixels=torch.from_numpy(noise),
        train_rows=torch.tensor([4, 2, 0]),
        train_labels=torch.tensor([1, 0, 1]),
        val_rows=torch.tensor([1]),
        test_rows=torch.tensor([3, 5]),
        mean=255 * torch.tensor(MEAN)[:, None, None],
        std=255 * torch.tensor(STD)[:, None, None],
        num_classes=2,
    )


def lemur(data: TrainingData, steps: list[object]) -> torch.Tensor:
    """Return what LEMUR's pipeline makes of the images at `ROWS`, one after the other."""
    pipeline = transforms.Compose(steps)
    images = [Image.fromarray(data.pixels[row].permute(1, 2, 0).numpy()) for row in ROWS]
    return torch.stack([pipeline(image) for image in images])


def resized(size: int) -> list[object]:
    return [transforms.Resize(size), transforms.CenterCrop(size)]


@pytest.mark.parametrize(("size", "levels"), [(16, 0), (32, 0), (64, 0), (45, 1)])
@pytest.mark.parametrize(
    ("scaling", "last"),
    [
        ("norm", [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]),
        ("echo", [transforms.ToTensor()]),
        ("complex", [transforms.ToTensor(), COMPLEX]),
    ],
)
def test_a_batch_is_what_lemur_makes_of_its_images(
    scaling: str, last: list[object], size: int, levels: int, data: TrainingData
) -> None:
    recipe = replace(RECIPE, scaling=scaling, image_size=size)
    found = data.prepare(ROWS, recipe)
    expected = lemur(data, [*resized(size), *last])
    rounding = levels / 255 / min(STD)  # at odd ratios, pixels may round the other way
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 + rounding)


def test_images_lie_channels_last_where_that_is_asked(data: TrainingData) -> None:
    plain = data.prepare(ROWS, RECIPE)
    found = data.on(torch.device("cpu"), torch.channels_last).prepare(ROWS, RECIPE)
    assert torch.equal(found, plain)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert plain.is_contiguous()


def test_images_are_mirrored_where_it_is_asked(data: TrainingData) -> None:
    flipped = torch.tensor([True, False, True])
    found, plain = data.prepare(ROWS, RECIPE, flipped), data.prepare(ROWS, RECIPE)
    assert torch.equal(found[1], plain[1])
    assert torch.equal(found[[0, 2]], plain[[0, 2]].flip(3))


@pytest.mark.parametrize("flip", [False, True])
def test_training_takes_every_image_once_and_mirrors_some(flip: bool, data: TrainingData) -> None:
    recipe = replace(RECIPE, flip=flip, batch=2)
    seen = SimpleNamespace(rows=[], mirrored=0)
    plain = data.prepare(data.train_rows, recipe)
    for seed in range(8):
        batches = TrainingBatches(data, recipe, torch.Generator().manual_seed(seed))
        assert len(batches) == 1  # the last image alone is left out
        for images, labels in batches:
            for image, label in zip(images, labels, strict=True):
                (at,) = [
                    i
                    for i, one in enumerate(plain)
                    if image.equal(one) or image.equal(one.flip(2))
                ]
                assert label == data.train_labels[at]
                seen.rows.append(at)
                seen.mirrored += not image.equal(plain[at])
    assert set(seen.rows) == {0, 1, 2}
    assert (0 < seen.mirrored < len(seen.rows)) if flip else seen.mirrored == 0


@pytest.mark.parametrize("size", [16, 40])
def test_levels_are_the_same_where_only_floats_can_be_resized(
    data: TrainingData, size: int
) -> None:
    whole = training_data.resized(data.pixels, size).float()
    exact = training_data.resized(data.pixels.float(), size)
    assert (exact - whole).abs().max() <= 1
    assert torch.equal(exact, exact.round())
