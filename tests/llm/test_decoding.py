"""The sampling loop: forced tokens change nothing but the work, batches share what they can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import llguidance
import numpy as np
import pytest
from scipy.stats import chi2_contingency

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.llm import answers as growing
from deltanas.llm.decoding import Decoder, Work
from deltanas.llm.local import TransformersLLM
from deltanas.llm.locked import Locks, grammar_tokenizer
from deltanas.llm.sampling import SeededSampling
from deltanas.propose.grammar import delta_grammar
from deltanas.propose.prompt import excerpt_of, render_prompt
from tests.test_conf import composed

TEMPLATE = "delta\n$architecture"
GREEDY = 1e-5  # a temperature at which noise decides nothing


class Stepwise(Locks):
    """Locks that leave every token to the masks."""

    def forced(self, reply: int) -> list[int]:
        return self.ends[:1] if self.matchers[reply].is_stopped() else []


@pytest.fixture(scope="module")
def embedded() -> TransformersLLM:
    """Return the LLM that travels in the package."""
    return TransformersLLM(
        "embedded",
        dtype="float32",
        device="cpu",
        context=1200,
        max_new_tokens=64,
        temperature=GREEDY,
        top_k=50,
        top_p=1.0,
        batch=8,
    )


def asked(llm: TransformersLLM, count: int) -> tuple[list[list[int]], list[str]]:
    """Return prompts and grammars of the shortest built-in networks."""
    shortest = sorted(BuiltinArchive().baselines(dataset="digits"), key=lambda b: len(b.code))
    prompts = [render_prompt(TEMPLATE, baseline, "digits") for baseline in shortest[:count]]
    grammars = [delta_grammar(excerpt_of(b, TEMPLATE), lock_names=True) for b in shortest[:count]]
    return [encoded(llm, prompt) for prompt in prompts], grammars


def encoded(llm: TransformersLLM, prompt: str) -> list[int]:
    turn = [{"role": "user", "content": prompt}]
    text = llm.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    return list(llm.tokenizer.encode(text, add_special_tokens=False))


def written(
    llm: TransformersLLM,
    prompts: Sequence[list[int]],
    locks: Locks | None = None,
    *,
    temperature: float = GREEDY,
    seed: int = 0,
    longest: int = 64,
) -> tuple[list[list[int]], Work]:
    decoder = Decoder(llm.network, ends=llm.ends, longest=longest)
    seeds = range(seed, seed + len(prompts))
    sampling = SeededSampling(seeds, temperature=temperature, top_k=50, top_p=1.0)
    return decoder.decode(prompts, sampling, locks), decoder.work


def tokenizer_of(llm: TransformersLLM) -> llguidance.LLTokenizer:
    return grammar_tokenizer(llm.tokenizer, llm.network.config.vocab_size, llm.ends)


def test_greedy_answers_are_the_same_without_forced_tokens_at_40_percent_fewer_draws(
    embedded: TransformersLLM,
):
    prompts, grammars = asked(embedded, 4)
    tokenizer = tokenizer_of(embedded)
    skipping, less = written(embedded, prompts, Locks(tokenizer, grammars, embedded.ends))
    stepping, all_of_it = written(embedded, prompts, Stepwise(tokenizer, grammars, embedded.ends))
    assert skipping == stepping
    assert all_of_it.forced == 0
    assert less.sampled <= 0.6 * all_of_it.sampled
    assert less.forwards < all_of_it.forwards


def test_where_tokens_are_forced_the_mask_allows_no_other(embedded: TransformersLLM):
    prompts, grammars = asked(embedded, 4)
    tokenizer = tokenizer_of(embedded)
    answers, _ = written(embedded, prompts, Locks(tokenizer, grammars, embedded.ends))
    checked = 0
    for answer, grammar in zip(answers, grammars, strict=True):
        matcher = llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_lark(grammar))
        for token in answer:
            if token in embedded.ends:
                break
            if forced := matcher.compute_ff_tokens():
                words = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
                assert np.unpackbits(words, bitorder="little").nonzero()[0].tolist() == forced[:1]
                checked += 1
            matcher.consume_token(token)
    assert checked >= 40


def test_choices_after_forced_tokens_are_distributed_as_before(embedded: TransformersLLM):
    prompts, _ = asked(embedded, 1)
    grammar = 'start: "@@\\n-        self.act = nn." ("ReLU" | "GELU" | "SiLU" | "ELU") "()\\n"'
    tokenizer = tokenizer_of(embedded)
    counts = []
    for seed, kind in ((0, Locks), (1000, Stepwise)):
        locks = kind(tokenizer, [grammar] * 300, embedded.ends)
        answers, _ = written(embedded, prompts * 300, locks, temperature=2.0, seed=seed)
        counts.append(Counter(embedded.tokenizer.decode(answer[:-1]) for answer in answers))
    texts = sorted(counts[0] | counts[1])
    assert len(texts) >= 3
    table = [[count[text] for text in texts] for count in counts]
    assert chi2_contingency(table).pvalue > 0.01


@pytest.mark.parametrize("padding", [1.0, 3.0])
def test_a_batch_with_siblings_and_alike_starts_answers_as_each_alone(
    embedded: TransformersLLM, monkeypatch: pytest.MonkeyPatch, padding: float
):
    monkeypatch.setitem(growing.PADDING, "cpu", padding)
    first, second = asked(embedded, 2)[0]
    alike = [*first[:20], *second[20:]]
    prompts = [second, first, alike, first, second[:30]]
    together, work = written(embedded, prompts, longest=12)
    alone = [written(embedded, [prompt], longest=12)[0][0] for prompt in prompts]
    assert together == alone
    assert work.read <= len(first) + len(second) + len(alike) - 20


def test_the_work_of_locked_decoding_does_not_grow(embedded: TransformersLLM):
    prompts, grammars = asked(embedded, 4)
    locks = Locks(tokenizer_of(embedded), grammars * 2, embedded.ends)
    answers, work = written(embedded, prompts * 2, locks, temperature=0.4)
    assert work.sampled + work.forced == sum(map(len, answers))
    assert work.read <= sum(map(len, prompts)) + 4 * len("@@\n")
    assert work.forwards <= 50  # 46 where this was written
    assert work.sampled <= 265  # 245; stepwise, all 506 tokens


def test_the_embedded_llm_is_sampled_wherever_it_is_served():
    """Who serves it elsewhere takes its own settings: without them every seed says the same."""
    from transformers import GenerationConfig

    from deltanas.llm.loading import EMBEDDED

    shipped = GenerationConfig.from_pretrained(EMBEDDED)
    config = composed("llm=tiny").llm
    assert shipped.do_sample is True
    assert (shipped.temperature, shipped.top_k, shipped.top_p) == (
        config.temperature,
        config.top_k,
        config.top_p,
    )
