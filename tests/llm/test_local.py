"""The LLM behind its Protocol: seeds, batches, limits, and the lock on an untrained LLM."""

from functools import partial
from random import Random

import pytest
import torch

from deltanas.llm.local import TransformersLLM
from deltanas.llm.locked import grammar_tokenizer
from deltanas.propose.grammar import delta_grammar
from deltanas.propose.hunks import Excerpt, compact_delta, number_hunks
from deltanas.propose.prompt import check_template, render_answer, render_prompt
from deltanas.propose.proposer import LLMProposer, RandomEditProposer
from deltanas.propose.random_edit import random_edit
from deltanas.records import Baseline, Recipe
from deltanas.screen import DeltaError, apply_delta, extract_delta
from deltanas.source import frozen_lines
from tests.fakes import requests

TEMPLATE = "delta\n$architecture"
RECIPE = Recipe(lr=0.1, momentum=0.9, batch=4, image_size=8, flip=False)


@pytest.fixture
def baseline(code: str) -> Baseline:
    return Baseline(baseline_id="b", family="f", code=code, recipe=RECIPE, proxy_accuracy=0.5)


def outcome(code: str, delta: str) -> str:
    try:
        apply_delta(code, delta)
    except DeltaError as error:
        return error.verdict.value
    return "applied"


def test_replies_depend_on_their_seed_and_not_on_their_batch(llm: TransformersLLM):
    prompts = ["ab", "abcdef", "a", "abc"]
    together = llm.generate(prompts, [1, 2, 3, 4])
    alone = llm.generate([prompts[1]], [2])
    assert together[1].text == alone[0].text
    assert llm.generate([prompts[1]], [5])[0].text != alone[0].text
    assert [reply.prompt_tokens for reply in together] == [4, 8, 3, 5]


def test_a_batch_that_does_not_fit_the_memory_is_halved(
    llm: TransformersLLM, monkeypatch: pytest.MonkeyPatch
):
    prompts, seeds = ["ab", "abcdef", "a", "abc", "b"], [1, 2, 3, 4, 5]
    before = [reply.text for reply in llm.generate(prompts, seeds)]
    sample, sizes = llm._sample, []

    def cramped(ids, *rest, room=2):
        sizes.append(len(ids))
        if len(ids) > room:
            torch.empty(2**55, dtype=torch.uint8)  # more than there is
        return sample(ids, *rest)

    monkeypatch.setattr(llm, "batch", 4)
    monkeypatch.setattr(llm, "_sample", cramped)
    assert [reply.text for reply in llm.generate(prompts, seeds)] == before
    assert sizes == [4, 2, 2, 1]
    monkeypatch.setattr(llm, "_sample", partial(cramped, room=0))
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        llm.generate(prompts, seeds)
    assert sizes[4:] == [2, 1]


def test_a_reply_without_an_end_counts_as_unfinished(llm: TransformersLLM):
    replies = llm.generate(["abc"] * 12, list(range(12)))
    assert {reply.finished for reply in replies} == {True, False}
    assert all(reply.finished or reply.output_tokens == 120 for reply in replies)


def test_a_prompt_must_leave_room_for_the_longest_answer(llm: TransformersLLM):
    assert llm.fits("a" * (1024 - 120 - 2))
    assert not llm.fits("a" * (1024 - 120 - 1))


def test_what_the_lock_allows_applies_even_from_an_untrained_llm(
    llm: TransformersLLM, baseline: Baseline
):
    proposer = LLMProposer(llm, template=TEMPLATE, locked=True)
    proposals = proposer.propose(requests(baseline, list(range(24))))
    finished = [proposal for proposal in proposals if not proposal.truncated]
    assert finished
    for proposal in finished:
        assert outcome(baseline.code, proposal.reply) in ("applied", "no_op")


def test_without_the_lock_an_untrained_llm_writes_no_delta(
    llm: TransformersLLM, baseline: Baseline
):
    proposer = LLMProposer(llm, template=TEMPLATE, locked=False)
    with pytest.raises(DeltaError, match="@@"):
        extract_delta(proposer.propose(requests(baseline, [0]))[0].reply)


def test_the_grammar_accepts_every_delta_of_a_random_edit(llm: TransformersLLM, code: str):
    import llguidance

    tokenizer = grammar_tokenizer(llm.tokenizer, len(llm.tokenizer))
    view = Excerpt.of(code, frozen_lines(code), hide_frozen=True)
    grammar = llguidance.LLMatcher.grammar_from_lark(delta_grammar(view))
    for seed in range(20):
        delta = compact_delta(view, random_edit(code, Random(seed)))
        ids = llm.tokenizer.encode(delta, add_special_tokens=False)
        matcher = llguidance.LLMatcher(tokenizer, grammar)
        assert matcher.try_consume_tokens(ids) == len(ids), delta
        assert matcher.is_accepting()


@pytest.mark.parametrize(
    "delta",
    [
        "@@\n-import numpy\n",  # no such line
        "@@\n import torch\n-class Net(nn.Module):\n",  # not the next line
        "@@\n-    def learn(self, train_data):\n",  # frozen
        "@@\n-class Net(nn.Module):\n@@\n-import torch\n",  # out of order
        "@@\n+x = 1\n",  # without an anchor
    ],
)
def test_the_grammar_refuses_what_would_not_apply(llm: TransformersLLM, code: str, delta: str):
    import llguidance

    tokenizer = grammar_tokenizer(llm.tokenizer, len(llm.tokenizer))
    view = Excerpt.of(code, frozen_lines(code), hide_frozen=False)
    grammar = llguidance.LLMatcher.grammar_from_lark(delta_grammar(view))
    ids = llm.tokenizer.encode(delta, add_special_tokens=False)
    matcher = llguidance.LLMatcher(tokenizer, grammar)
    assert matcher.try_consume_tokens(ids) < len(ids)


def test_the_answer_of_a_training_pair_applies_as_the_reply_would(baseline: Baseline):
    edited = random_edit(baseline.code, Random(3))
    answer = render_answer(TEMPLATE, baseline, edited, whole=False)
    assert answer is not None
    view = Excerpt.of(baseline.code, frozen_lines(baseline.code), hide_frozen=True)
    assert apply_delta(baseline.code, number_hunks(view, answer)) == edited


def test_the_prompt_shows_the_validation_accuracy_and_hides_frozen_functions(baseline: Baseline):
    prompt = render_prompt("$accuracy on $dataset\n$architecture", baseline, "digits")
    assert prompt.startswith("50.0 % on digits\nimport torch\n")
    assert "train_setup" not in prompt
    assert "class Net" in prompt


def test_a_template_with_unknown_names_is_refused():
    with pytest.raises(ValueError, match=r"names \$cod; known are"):
        check_template("$cod")
    with pytest.raises(ValueError, match="shows no source"):
        check_template("write a delta")


def test_random_edits_go_through_the_same_path(baseline: Baseline):
    proposals = RandomEditProposer().propose(requests(baseline, [1, 2, 3, 1]))
    assert proposals[0].reply == proposals[3].reply
    for proposal in proposals:
        assert apply_delta(baseline.code, proposal.reply) != baseline.code
