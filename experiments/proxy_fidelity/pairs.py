"""What is compared: LEMUR's accuracies after epoch 1 and after a later epoch, as pairs."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from deltanas.archive.lemur import DATASETS, read_meta

TRIALS = """
    SELECT network_id, uid, epoch, accuracy FROM trials
    JOIN datasets USING (dataset_id) JOIN recipes USING (recipe_id)
    WHERE task = 'img-classification' AND dataset = ? ORDER BY network_id, epoch, trial"""


class Trial(NamedTuple):
    """One row of LEMUR; equal uids are equal hyperparameters and transforms."""

    network: int
    uid: str
    epoch: int
    accuracy: float


class Pair(NamedTuple):
    """Accuracies of one network, or of one of its trials."""

    dataset: str
    early: float  # after epoch 1
    late: float


def read_trials(path: Path) -> dict[str, list[Trial]]:
    """Return every trial by dataset. Raises ArchiveError where there is no import."""
    read_meta(path)
    names = {key: source.name for key, source in DATASETS.items() if source.only is None}
    with closing(sqlite3.connect(path)) as archive:
        return {k: [Trial(*r) for r in archive.execute(TRIALS, (n,))] for k, n in names.items()}


def best_pairs(dataset: str, trials: Sequence[Trial], late: int | None) -> list[Pair]:
    """Return each network's best accuracy after epoch 1 and after `late`; None: its last epoch."""
    best: dict[int, dict[int, float]] = defaultdict(dict)
    for trial in trials:
        epochs = best[trial.network]
        epochs[trial.epoch] = max(trial.accuracy, epochs.get(trial.epoch, 0.0))
    ends = [(epochs, max(epochs) if late is None else late) for epochs in best.values()]
    return [
        Pair(dataset, epochs[1], epochs[end])
        for epochs, end in ends
        if end > 1 and {1, end} <= epochs.keys()
    ]


def trial_pairs(dataset: str, trials: Sequence[Trial], *, best_only: bool = False) -> list[Pair]:
    """Return epoch-50 trials with epoch 1 of the same uid: all, or each network's best alone.

    Of several rows with one uid at epoch 1, and of equally good ones at epoch 50, the last counts.
    """
    first = {(t.network, t.uid): t.accuracy for t in trials if t.epoch == 1}
    late = [t for t in trials if t.epoch == 50 and (t.network, t.uid) in first]
    if best_only:
        late = list({t.network: t for t in sorted(late, key=lambda t: t.accuracy)}.values())
    return [Pair(dataset, first[t.network, t.uid], t.accuracy) for t in late]
