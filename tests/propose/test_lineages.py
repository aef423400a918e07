"""Lineages of random edits: the edit of an edit of an edit, from every built-in network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from deltanas.archive.builtin_archive import NETWORKS, BuiltinArchive
from deltanas.propose.proposer import RandomEditProposer
from deltanas.records import Baseline, Candidate, derive_seed
from deltanas.screen.gates import screen_proposal
from tests.fakes import requests

BASELINES = {one.baseline_id: one for one in BuiltinArchive().baselines(dataset="digits")}


def lineage(baseline: Baseline, generations: int) -> Iterator[Candidate]:
    """Yield every generation, which passed the static gates."""
    for generation in range(generations):
        seed = derive_seed(generation, baseline.baseline_id)
        (proposal,) = RandomEditProposer().propose(requests(baseline, [seed]))
        found = screen_proposal(f"g{generation}", proposal, baseline, whole_network=False)
        assert isinstance(found, Candidate), found.reason
        yield found
        baseline = replace(baseline, code=found.code)


def check_shape(candidate: Candidate) -> None:
    """Build a network on the meta device and give it two images."""
    recipe = candidate.baseline.recipe
    size = recipe.image_size
    namespace: dict[str, Any] = {"__name__": "network"}
    with torch.device("meta"), torch.no_grad():
        exec(compile(candidate.code, candidate.attempt_id, "exec"), namespace)
        in_shape = (recipe.batch, 1, size, size)
        prm = recipe.hyperparameters()
        network = namespace["Net"](in_shape, (10,), prm, torch.device("meta"))
        assert network(torch.zeros(2, 1, size, size)).shape == (2, 10)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_ten_generations_pass_the_gates_and_build(name: str) -> None:
    *_, last = lineage(BASELINES[name], 10)
    check_shape(last)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_hundred_generations_pass_the_gates_and_build(name: str) -> None:
    for number, candidate in enumerate(lineage(BASELINES[name], 100), 1):
        if number % 10 == 0:
            check_shape(candidate)
