"""Sampling without replacement: its distribution, and what it may not depend on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import permutations, product
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

from deltanas.llm.decoding import Decoder
from deltanas.llm.drawing import Drawing
from deltanas.llm.local import TransformersLLM
from deltanas.llm.lots import Lot
from deltanas.llm.sampling import truncated
from deltanas.records import Drawn, Reply

PROMPT = "say"
GRAMMAR = 'start: ("a" | "b" | "c") "-" ("x" | "yes" | "z") "." | "b"'
TEXTS = [f"{one}-{other}." for one, other in product("abc", ("x", "yes", "z"))] + ["b"]
SHARP = 0.1  # a temperature at which an untrained LLM has likely and unlikely tokens
NONE = Drawn(topic="", texts=frozenset())


@pytest.fixture
def sharp(llm: TransformersLLM, monkeypatch: pytest.MonkeyPatch) -> TransformersLLM:
    """Return the untrained LLM with probabilities that differ, and room for many replies."""
    monkeypatch.setattr(llm, "temperature", SHARP)
    monkeypatch.setattr(llm, "batch", 1000)
    monkeypatch.setattr(llm.decoder, "longest", 8)
    return llm


def own(llm: TransformersLLM) -> dict[str, float]:
    """Return the probability of every text, a token at a time, from the LLM's plain logits."""
    ends = llm.ends[0]
    tokens = {t: [*llm.tokenizer.encode(t, add_special_tokens=False), ends] for t in TEXTS}
    found = dict.fromkeys(TEXTS, 0.0)
    prompt = llm._ids(PROMPT)
    for text, answer in tokens.items():
        for at, token in enumerate(answer):
            allowed = {o[at] for o in tokens.values() if o[:at] == answer[:at] and len(o) > at}
            with torch.inference_mode():
                logits = llm.network(torch.tensor([prompt + answer[:at]])).logits[0, -1]
            masked = torch.full_like(logits, -math.inf)
            masked[list(allowed)] = logits[list(allowed)]
            kept, order = truncated(
                masked[None], temperature=llm.temperature, top_k=llm.top_k, top_p=llm.top_p
            )
            logs = dict(zip(order[0].tolist(), kept.log_softmax(dim=-1)[0].tolist(), strict=True))
            found[text] += logs.get(token, -math.inf)
    return {text: math.exp(log) for text, log in found.items() if log > -math.inf}


def pairs(
    llm: TransformersLLM, known: Sequence[str] = (), seeds: int = 400
) -> Counter[tuple[str, ...]]:
    """Count the first two replies over many seeds, each of which has a topic of its own."""
    numbers = [n for n in range(seeds) for _ in range(2)]
    drawn = [Drawn(topic=str(n), texts=frozenset(known)) for n in numbers]
    count = len(numbers)
    replies = llm.generate([PROMPT] * count, numbers, [GRAMMAR] * count, drawn=drawn)
    texts = [reply.text for reply in replies]
    return Counter(zip(texts[::2], texts[1::2], strict=True))


def exact(own: Mapping[str, float], known: Sequence[str] = ()) -> dict[tuple[str, ...], float]:
    """Return the probability of every first two replies of those that are not known."""
    left = {text: each for text, each in own.items() if text not in known}
    mass = sum(left.values())
    return {
        (one, other): left[one] / mass * left[other] / (mass - left[one])
        for one, other in permutations(left, 2)
    }


def pvalue(seen: Counter[tuple[str, ...]], expected: Mapping[tuple[str, ...], float]) -> float:
    assert seen.keys() <= expected.keys()
    count = seen.total()
    often = [pair for pair, each in expected.items() if each * count >= 5]
    assert len(often) >= 5
    rest = 1 - sum(expected[pair] for pair in often)
    observed = [seen[pair] for pair in often]
    wanted = [expected[pair] * count for pair in often]
    return float(chisquare([*observed, count - sum(observed)], [*wanted, rest * count]).pvalue)


@pytest.mark.parametrize(("top_k", "top_p", "left"), [(300, 1.0, 10), (2, 1.0, 5), (300, 0.9, 6)])
def test_the_first_two_replies_are_distributed_as_the_llm_samples(
    sharp: TransformersLLM,
    monkeypatch: pytest.MonkeyPatch,
    top_k: int,
    top_p: float,
    left: int,
):
    monkeypatch.setattr(sharp, "top_k", top_k)
    monkeypatch.setattr(sharp, "top_p", top_p)
    expected = own(sharp)
    assert sum(expected.values()) == pytest.approx(1, abs=1e-5)
    assert len(expected) == left
    assert pvalue(pairs(sharp), exact(expected)) > 0.01


def test_other_weights_give_what_is_not_known_their_own_distribution(
    sharp: TransformersLLM, monkeypatch: pytest.MonkeyPatch
):
    """What was known is left out, its old probability counts for nothing."""
    before = own(sharp)
    known = sorted(before, key=lambda text: -before[text])[:2]
    head = sharp.network.get_output_embeddings().weight
    monkeypatch.setattr(head, "data", head.data.flip(0))
    after = own(sharp)
    assert max(abs(after[text] - before[text]) for text in TEXTS) > 0.05
    assert pvalue(pairs(sharp, known), exact(after, known)) > 0.01


def order(llm: TransformersLLM, count: int, known: Sequence[str] = ()) -> list[Reply]:
    drawn = [Drawn(topic="", texts=frozenset(known))] * count
    return llm.generate([PROMPT] * count, range(count), [GRAMMAR] * count, drawn=drawn)


def test_what_is_known_leaves_the_order_of_the_others_as_it_is(sharp: TransformersLLM):
    whole = [reply.text for reply in order(sharp, len(TEXTS))]
    assert sorted(whole) == sorted(TEXTS)
    for known in (whole[:1], whole[1:4], whole[::2]):
        left = [text for text in whole if text not in known]
        assert [reply.text for reply in order(sharp, len(left), known)] == left


def test_where_all_is_known_a_reply_comes_again_and_says_so(sharp: TransformersLLM):
    replies = order(sharp, len(TEXTS) + 2, TEXTS[:1])
    left = len(TEXTS) - 1
    assert {reply.text for reply in replies[:left]} == set(TEXTS[1:])
    assert [reply.repeats for reply in replies] == [False] * left + [True] * 3
    assert {reply.text for reply in replies[left:]} <= set(TEXTS)


def test_replies_do_not_depend_on_the_size_or_the_order_of_batches(
    llm: TransformersLLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(llm.decoder, "longest", 12)
    prompts = ["ab", "abcdef", "ab", "b", "abcdef", "ab", "ab"]

    def written(batch: int, asked: Sequence[str]) -> list[tuple[str, str]]:
        monkeypatch.setattr(llm, "batch", batch)
        seeds = [len(prompt) for prompt in asked]
        return [
            (prompt, reply.text)
            for prompt, reply in zip(
                asked, llm.generate(asked, seeds, drawn=[NONE] * len(asked)), strict=True
            )
        ]

    together = written(7, prompts)
    assert len(set(together)) == len(prompts)
    assert written(1, prompts) == written(2, prompts) == written(3, prompts) == together
    assert sorted(written(3, prompts[::-1])) == sorted(together)


def test_a_lot_goes_on_where_memory_ran_out(llm: TransformersLLM, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(llm.decoder, "longest", 12)
    monkeypatch.setattr(llm, "batch", 5)
    before = llm.generate(["ab"] * 5, range(5), drawn=[NONE] * 5)
    step, calls = Decoder.step, []

    def cramped(self: Decoder, memory: Any, rows: Any) -> torch.Tensor:
        calls.append(len(rows))
        if len(rows) > 2:
            torch.empty(2**55, dtype=torch.uint8)  # more than there is
        return step(self, memory, rows)

    monkeypatch.setattr(Decoder, "step", cramped)
    after = llm.generate(["ab"] * 5, range(5), drawn=[NONE] * 5)
    assert [reply.text for reply in after] == [reply.text for reply in before]
    assert max(calls) > 2
    assert llm.batch == 2


@pytest.fixture
def drawing(llm: TransformersLLM) -> Drawing:
    decoder = Decoder(llm.network, ends=llm.ends, longest=14)
    return Drawing(decoder, two, None, str)


def two(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Leave two tokens, so that replies share long beginnings."""
    return truncated(logits, temperature=SHARP, top_k=2, top_p=1.0)


def scored(llm: TransformersLLM, prompt: Sequence[int], answer: Sequence[int]) -> float:
    """Return the log-probability of an answer, from one plain forward pass."""
    with torch.inference_mode():
        logits = llm.network(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
    kept, order = two(logits)
    logs = kept.log_softmax(dim=-1)
    return float(logs[order == torch.tensor(answer)[:, None]].sum())


def test_every_reply_has_the_probability_that_the_llm_gives_it(
    llm: TransformersLLM, drawing: Drawing
):
    """Also where replies branch, go on in a later batch, and need more room than was made."""
    lots = [Lot(llm._ids(text), None, seed=3, known={}) for text in ("ab", "abc", "ab")]
    for wanted in (3, 1, 6):
        drawing.run(dict.fromkeys(lots, wanted))
        for lot in lots:
            first = lot.front[:wanted]
            assert all(each.answer is not None and each.text is not None for each in first)
            for each in first:
                answer = each.answer or []
                assert each.mass == pytest.approx(scored(llm, lot.prompt, answer), abs=1e-3)
            lot.take(wanted)


def test_a_known_text_counts_in_whatever_tokens_it_was_written(
    llm: TransformersLLM, drawing: Drawing
):
    lot = Lot(llm._ids("ab"), None, seed=1, known={})
    drawing.run({lot: 6})
    answers = lot.arrived(6)
    for tokens in (answers[0][:-1], [5, 7], []):
        again = Lot(lot.prompt, None, seed=1, known={str(answers[0]): tokens})
        drawing.run({again: 5})
        assert again.arrived(5) == answers[1:]


def test_what_replies_start_alike_with_is_read_once(llm: TransformersLLM, drawing: Drawing):
    lot = Lot(llm._ids("ab"), None, seed=2, known={})
    read: list[int] = []

    def count(module: Any, positional: Any, named: Mapping[str, torch.Tensor]) -> None:
        read.append(named["input_ids"].shape[1])

    hook = llm.network.register_forward_pre_hook(count, with_kwargs=True)
    drawing.run({lot: 40})
    hook.remove()
    work = drawing.decoder.work
    assert work.sampled < 0.9 * sum(map(len, lot.arrived(40)))
    assert sum(read) == len(lot.prompt) + work.sampled - 40  # the last of each is not read
    assert work.forwards == len(read) <= 14  # as many as tokens in the longest


def test_known_replies_are_read_beside_the_new_one(llm: TransformersLLM, drawing: Drawing):
    lot = Lot(llm._ids("ab"), None, seed=2, known={})
    drawing.run({lot: 12})
    answers = lot.arrived(12)
    before = drawing.decoder.work.forwards
    again = Lot(lot.prompt, None, seed=2, known={str(each): each for each in answers[:11]})
    drawing.run({again: 1})
    assert again.arrived(1) == answers[11:]
    assert (
        drawing.decoder.work.forwards - before <= 14 + 4
    )  # some branch off where nothing is known
