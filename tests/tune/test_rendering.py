from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from deltanas.tune.rendering import TuningError, render_example


def test_the_answer_starts_where_generation_starts(tokenizer: PreTrainedTokenizerFast) -> None:
    tokens, start = render_example(tokenizer, "delta\nx = 1\n", "@@\n-x = 1\n+x = 2\n")
    assert tokenizer.decode(tokens[:start]) == "<|user|>delta\nx = 1\n<|assistant|>"
    assert tokenizer.decode(tokens[start:]) == "@@\n-x = 1\n+x = 2\n<|end|>"


def test_a_template_without_an_end_of_turn_keeps_the_whole_answer(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    bare = with_template(
        tokenizer,
        "{% for m in messages %}{{ m['content'] }}{% endfor %}",
    )
    tokens, start = render_example(bare, "ask", "say")
    assert (start, bare.decode(tokens)) == (3, "asksay")


def test_a_template_that_changes_the_prompt_is_refused(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    changing = with_template(
        tokenizer,
        "{% for m in messages %}{% if loop.last %}(last){% endif %}{{ m['content'] }}{% endfor %}",
    )
    with pytest.raises(TuningError, match="must render the prompt as a prefix"):
        render_example(changing, "ask", "say")


def test_a_token_across_the_border_is_refused() -> None:
    from tokenizers import Tokenizer, models

    joined = models.BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(joined),
        chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}",
    )
    with pytest.raises(TuningError, match="a token joins the end of the prompt 'a'"):
        render_example(tokenizer, "a", "b")


def test_an_answer_that_renders_to_nothing_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    bare = with_template(tokenizer, "{% for m in messages %}{{ m['content'] }}{% endfor %}")
    with pytest.raises(TuningError, match="the answer '' renders to ''; its text must be"):
        render_example(bare, "ask", "")


def with_template(tokenizer: PreTrainedTokenizerFast, template: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        eos_token="<|end|>",
        chat_template=template,
    )
