"""A candidate may lie about its graph; what it wins by that is nothing that another has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deltanas.evaluate import LocalExecutor
from deltanas.records import Evaluation, Verdict
from tests.evaluate.networks import make_job, network

CLAIM = """
from deltanas.evaluate.inside import graph as tracing
tracing.Recorder.hash = lambda *a: {claim!r}
"""
# a network of its own kind where it is checked, and no network at all where it trains
TWO_FACES = "return torch.zeros(len(x), 10) + 0 * self.layers(x)"


def evaluate(executor: LocalExecutor, code: str, *, epochs: int = 1) -> Evaluation:
    (found,) = executor.map([replace(make_job(code, epochs=epochs), trace=True)])
    return found


@pytest.fixture(scope="module")
def honest(strong: LocalExecutor) -> Evaluation:
    found = evaluate(strong, network())
    assert found.graph is not None
    return found


@pytest.mark.parametrize("way", ["forged", "shown"])
def test_who_has_the_graph_of_a_better_network_has_its_own_score(
    strong: LocalExecutor, honest: Evaluation, way: str
) -> None:
    code = network(training=TWO_FACES)
    found = evaluate(strong, CLAIM.format(claim=honest.graph) * (way == "forged") + code)
    assert found.verdict is Verdict.TRAINED, found.reason
    assert found.graph == honest.graph
    assert found.proxy_accuracy < 0.2 < honest.proxy_accuracy
    checked = evaluate(strong, code, epochs=0)
    assert (checked.graph, checked.proxy_accuracy) == (honest.graph, None)


@pytest.mark.parametrize("claim", ["A" * 32, "a" * 31, "a" * 33 + "\n", 7, ["a" * 32], "<b>" * 20])
def test_only_the_form_of_a_hash_passes(strong: LocalExecutor, claim: object) -> None:
    found = evaluate(strong, CLAIM.format(claim=claim) + network())
    assert (found.verdict, found.graph) == (Verdict.KILLED, None)
    assert "before it answered" in found.reason


def test_what_trained_does_not_tell_a_graph(strong: LocalExecutor, honest: Evaluation) -> None:
    claim = "import json; json_dumps = json.dumps\n" + network(
        training="json.dumps = lambda header, **k: json_dumps(header | {'graph': 'a' * 32})"
    )
    assert evaluate(strong, "import json\n" + claim).graph == honest.graph
    untold = replace(make_job(CLAIM.format(claim="a" * 32) + network()), trace=False)
    (found,) = strong.map([untold])
    assert (found.verdict, found.graph) == (Verdict.TRAINED, None)
