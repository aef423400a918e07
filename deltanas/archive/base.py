"""What every source of baselines looks like from outside, and the error that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from deltanas.records import Baseline, UserError


class ArchiveError(UserError):
    """The archive cannot be read as asked; the message says what was found and what must hold."""


class Archive(Protocol):
    """Where baselines come from."""

    name: str  # "builtin" or "lemur", as the configuration calls it

    def baselines(
        self, *, dataset: str, max_image_size: int | None = None, max_lines: int | None = None
    ) -> Sequence[Baseline]:
        """Return every baseline that a search on `dataset` can use, always in the same order.

        `dataset` is the run's name of it ("digits", "cifar10", ...). `max_image_size` (pixels)
        leaves out baselines whose recipe needs larger images, `max_lines` those with longer code;
        `None` leaves out none. Raises ArchiveError where nothing is left for the dataset.
        """
        ...

    def left_out(
        self, *, dataset: str, max_image_size: int | None = None, max_lines: int | None = None
    ) -> Mapping[str, int]:
        """Return how many networks `baselines` leaves out for the same question, by reason."""
        ...
