"""A packed row is its examples, one by one: same losses, same gradients, fewer tokens."""

from __future__ import annotations

import random

import pytest
import torch
import transformers
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import LlamaForCausalLM, PreTrainedModel

from deltanas.tune.objectives.sft import Sft
from deltanas.tune.packing import Piece, Segment, fill, pack, packed_attention, siblings_together
from deltanas.tune.rendering import TuningError
from deltanas.tune.scoring import answer_loss
from deltanas.tune.steps import Steps
from tests.families import FAMILIES, Family, write_toy

PROMPT = [7, 8, 9, 10, 11, 12, 13]
EXAMPLES = [
    ([*PROMPT, 20, 21, 22], 7),
    ([30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40], 4),
    ([*PROMPT, 23], 7),  # siblings of the first: they share its prompt
    ([*PROMPT, 20, 24, 25, 26, 27, 28], 7),
]
PIECES = [Piece((example,), (1.0,)) for example in EXAMPLES]
ALONE = sum(len(tokens) for tokens, _ in EXAMPLES)


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> PreTrainedModel:
    family: Family = request.param
    folder = write_toy(family, tmp_path_factory.mktemp(family.name))
    torch.set_num_threads(1)
    return getattr(transformers, family.network).from_pretrained(folder).train()


def loss_alone(llm: PreTrainedModel) -> Tensor:
    """Return the summed loss of the examples, each in a forward pass of its own."""
    losses = []
    for tokens, start in EXAMPLES:
        logits = llm(torch.tensor([tokens])).logits[0, start - 1 : -1]
        losses.append(F.cross_entropy(logits, torch.tensor(tokens[start:]), reduction="sum"))
    return sum(losses[1:], losses[0])


def gradients(llm: PreTrainedModel, loss: Tensor) -> dict[str, Tensor]:
    llm.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in llm.named_parameters()}


def assert_packing_changes_nothing(llm: PreTrainedModel) -> None:
    alone = loss_alone(llm)
    expected = gradients(llm, alone)
    with packed_attention(llm):
        packed = answer_loss(llm, pack(EXAMPLES))
        found = gradients(llm, packed)
    torch.testing.assert_close(packed, alone)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=lambda text, name=name: name + text)


def test_a_packed_row_has_the_losses_and_gradients_of_its_examples(network: PreTrainedModel):
    assert_packing_changes_nothing(network)


def test_a_sliding_window_stays(network: PreTrainedModel, monkeypatch: pytest.MonkeyPatch):
    if network.config.model_type != "mistral":
        pytest.skip("of the three, Mistral's class has had windows")
    whole = loss_alone(network)
    monkeypatch.setattr(network.config, "sliding_window", 3)
    assert not torch.allclose(loss_alone(network), whole)
    assert_packing_changes_nothing(network)


def test_a_shared_prompt_stands_in_a_row_once():
    row = pack(EXAMPLES)
    assert row.tokens.shape == row.positions.shape == (1, ALONE - 2 * len(PROMPT))
    assert row.segments == (
        Segment(10, 0, 0),
        Segment(11, 1, 0),
        Segment(1, 0, 7),
        Segment(6, 0, 7),
    )
    assert row.positions[0, 21:].tolist() == [7, 7, 8, 9, 10, 11, 12]
    assert row.targets.tolist() == [t for tokens, start in EXAMPLES for t in tokens[start:]]
    assert row.kept.tolist()[:3] == [6, 7, 8]
    assert row.kept.tolist()[-7:] == [6, 6, 22, 23, 24, 25, 26]


def test_rows_hold_what_fits_and_cut_nothing():
    def lengths(**most: int) -> list[int]:
        return [len(row) for row in fill(PIECES, **most)]

    assert lengths(most_tokens=100, most_targets=100) == [4]
    assert lengths(most_tokens=22, most_targets=100) == [3, 1]
    assert lengths(most_tokens=21, most_targets=100) == [2, 2]
    assert lengths(most_tokens=100, most_targets=10) == [2, 2]
    assert lengths(most_tokens=1, most_targets=1) == [1, 1, 1, 1]


def test_siblings_stay_together_in_every_order():
    orders = {
        tuple(len(p.examples[0][0]) for p in siblings_together(PIECES, random.Random(seed)))
        for seed in range(40)
    }
    assert len(orders) == 12  # of the siblings 3!, and the other before or after them
    assert all(order.index(11) in (0, 3) for order in orders)


def test_a_step_takes_batch_times_accumulate_pairs():
    steps = Steps(PIECES, Sft(), batch=1, accumulate=3, max_tokens=13, seed=0)
    assert len(steps) == 2
    for _ in range(2):
        first, second = steps
        sizes = [[len(row.lengths) for row in step.rows] for step in (first, second)]
        assert [sum(each) for each in sizes] == [3, 1]
        rows = [row.packed for row in (*first.rows, *second.rows)]
        assert max(row.tokens.numel() for row in rows) <= 13
        assert max(row.targets.numel() for row in rows) <= 7
        assert sum(row.targets.numel() for row in rows) == 17


def test_the_llm_gets_its_attention_back(
    llm: LlamaForCausalLM,
):
    with packed_attention(llm):
        assert llm.config._attn_implementation == "deltanas_packed"
    assert llm.config._attn_implementation == "sdpa"


def test_an_llm_that_carries_a_state_is_refused():
    config = transformers.MambaConfig(
        vocab_size=8, hidden_size=8, state_size=2, num_hidden_layers=1
    )
    llm = transformers.MambaForCausalLM(config)
    with pytest.raises(TuningError, match="MambaForCausalLM cannot be tuned on packed pairs"):
        packed_attention(llm).__enter__()
