"""From a pair to tokens: the LLM's own chat template, and where the answer starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanas.records import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TuningError(UserError):
    """An LLM that cannot be tuned as configured; the message says what must hold."""


def render_example(
    tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str, *, finished: bool = True
) -> tuple[list[int], int]:
    """Return the tokens of one user turn with its answer, and the index of the answer's first.

    The tokens before the answer are exactly those that generation starts from, and those of the
    answer are what generation writes: spaces and line breaks that a template puts around an
    answer (Mistral's before it, DeepSeek's after it) are left out. The last token is the end of
    turn that the template writes, if any, and the answer is `finished`. Nothing is ever truncated.
    Raises TuningError when the template changes the prompt or the answer once both are there, so
    that training and generation would differ, and when no answer is left.
    """
    user = {"role": "user", "content": prompt}
    asked = _text(tokenizer, [user], add_generation_prompt=True)
    answered = _text(
        tokenizer, [user, {"role": "assistant", "content": answer}], add_generation_prompt=False
    )
    if not answered.startswith(asked):
        raise TuningError(
            "the chat template must render the prompt as a prefix of the text with the answer; "
            f"the prompt ends with {asked[-40:]!r}, the text has {answered[: len(asked)][-40:]!r}"
        )
    written = answered[len(asked) :]
    _, found, rest = written.partition(answer.strip() or "\0")
    if not found:
        raise TuningError(
            f"the answer {answer!r} renders to {written!r}; its text must be there, unchanged"
        )
    before, tokens = _tokens(tokenizer, asked), _tokens(tokenizer, asked + answer)
    start = len(before)
    if tokens[:start] != before:
        raise TuningError(
            "the prompt's tokens must be a prefix of the tokens with the answer; "
            f"a token joins the end of the prompt {asked[-20:]!r} with the answer {answer[:20]!r}"
        )
    if not finished:
        return tokens, start
    special = tokenizer.added_tokens_decoder
    return tokens + [token for token in _tokens(tokenizer, rest) if token in special][:1], start


def _text(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, str]],
    *,
    add_generation_prompt: bool,
) -> str:
    text = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=add_generation_prompt
    )
    return str(text)


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokenise rendered text: the template has written the special tokens already."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
