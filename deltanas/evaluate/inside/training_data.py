"""What a candidate trains on and answers for: images on its device, prepared batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deltanas.evaluate.inside.network import input_type
from deltanas.records import Recipe, Scaling


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What a candidate's process may see: labels of the training images only."""

    pixels: Tensor  # (N, C, S, S) uint8, the images of all splits
    train_rows: Tensor  # (n,) int64, positions in `pixels`
    train_labels: Tensor  # (n,) int64
    val_rows: Tensor
    test_rows: Tensor
    mean: Tensor  # (C, 1, 1) float32, of the training images, in 0..255
    std: Tensor  # (C, 1, 1) float32
    num_classes: int
    memory_format: torch.memory_format = torch.contiguous_format  # of images as networks get them

    @property
    def channels(self) -> int:
        """Number of colour channels."""
        return self.pixels.shape[1]

    def on(self, device: torch.device, memory_format: torch.memory_format) -> TrainingData:
        """Return the same with all images resident on a device."""
        moved: dict[str, Any] = {
            each.name: value.to(device)
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), Tensor)
        }
        return replace(self, **moved, memory_format=memory_format)

    def prepare(self, rows: Tensor, recipe: Recipe, flipped: Tensor | None = None) -> Tensor:
        """Return the images at some rows as the recipe wants them: (B, C, S, S), float or complex.

        Images are resized to the recipe's size as Pillow does it, to within one of 256 levels;
        those that `flipped`, (B,) bool, marks are mirrored.
        """
        images = self.pixels[rows]
        if flipped is not None:
            images = torch.where(flipped[:, None, None, None], images.flip(3), images)
        if images.device.type != "cpu":
            images = images.float()  # CUDA resizes no integers
        images = resized(images, recipe.image_size).float()
        if recipe.scaling == Scaling.norm:
            images = images.sub_(self.mean).div_(self.std)
        else:
            images = images.div_(255).to(input_type(recipe))
        return images.contiguous(memory_format=self.memory_format)


def resized(images: Tensor, size: int) -> Tensor:
    """Return images (B, C, S, S) of levels 0..255 at another size, as whole levels of their type.

    As Pillow does it, to within one level.
    """
    if images.shape[-1] == size:
        return images
    found = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    return found.round_().clamp_(0, 255) if found.is_floating_point() else found


class TrainingBatches:
    """The training images in batches: seeded order, new every epoch; flips if the recipe asks."""

    def __init__(self, data: TrainingData, recipe: Recipe, generator: torch.Generator) -> None:
        self.data = data
        self.recipe = recipe
        self.generator = generator
        count = len(data.train_rows)
        self.sizes = [min(recipe.batch, count - start) for start in range(0, count, recipe.batch)]
        if len(self.sizes) > 1 and self.sizes[-1] == 1:
            self.sizes.pop()  # batch normalisation cannot train on one image

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.data.train_rows), generator=self.generator)
        start = 0
        for size in self.sizes:
            chosen = order[start : start + size]
            start += size
            flipped = None
            if self.recipe.flip:
                flipped = torch.rand(size, generator=self.generator) < 0.5
                flipped = flipped.to(self.data.pixels.device)
            images = self.data.prepare(self.data.train_rows[chosen], self.recipe, flipped)
            yield images, self.data.train_labels[chosen]
