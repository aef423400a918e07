"""From a pair to tokens: the LLM's own chat template, and where the answer starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def render_example(
    tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str
) -> tuple[list[int], int]:
    """Return the tokens of one user turn with its answer, and the index of the answer's first.

    The tokens before the answer are exactly those that generation starts from. The last token is
    the end of turn; what a template writes after it (a line break, say) is cut off. Nothing is
    ever truncated.
    Raises ValueError when the template changes the prompt once an answer follows, so that
    training and generation would differ, and when no answer is left.
    """
    user = {"role": "user", "content": prompt}
    asked = _text(tokenizer, [user], add_generation_prompt=True)
    answered = _text(
        tokenizer, [user, {"role": "assistant", "content": answer}], add_generation_prompt=False
    )
    if not answered.startswith(asked):
        raise ValueError(
            "the chat template must render the prompt as a prefix of the text with the answer; "
            f"the prompt ends with {asked[-40:]!r}, the text has {answered[: len(asked)][-40:]!r}"
        )
    before = _tokens(tokenizer, asked)
    tokens = _tokens(tokenizer, answered)
    start = len(before)
    if tokens[:start] != before:
        raise ValueError(
            "the prompt's tokens must be a prefix of the tokens with the answer; "
            f"a token joins the end of the prompt {asked[-20:]!r} with the answer {answer[:20]!r}"
        )
    if answered[len(asked) :] == "" or start == len(tokens):
        raise ValueError(f"the answer {answer!r} renders to nothing; it must hold a token or more")
    end = tokenizer.eos_token_id
    if end in tokens[start:]:
        tokens = tokens[: len(tokens) - tokens[::-1].index(end)]
    return tokens, start


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
