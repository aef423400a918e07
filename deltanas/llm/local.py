"""A language model whose weights this process holds, with transformers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from deltanas.llm.loading import (
    decoded,
    end_tokens,
    load_network,
    load_tokenizer,
    ran_out_of_memory,
)
from deltanas.llm.locked import Locks, grammar_tokenizer
from deltanas.records import Reply

T = TypeVar("T")


class TransformersLLM:
    """A causal LM of transformers in this process, sampled in batches of similar length."""

    def __init__(
        self,
        model: str,
        *,
        dtype: str,
        device: str,
        context: int,
        max_new_tokens: int,
        temperature: float,
        top_k: int,
        top_p: float,
        batch: int,
        quantization: str = "none",
        stop: Sequence[str] = (),
    ) -> None:
        """Load tokenizer and weights: a hub id, a folder, or `embedded` for the package's own LLM.

        `context` counts tokens of prompt and answer together; `stop` names tokens that end a
        reply besides the LLM's own. Raises LLMError for an LLM that cannot be used so, and
        OSError where nothing is found.
        """
        from deltanas.llm.decoding import Decoder

        self.name = model
        self.tokenizer: Any = load_tokenizer(model)
        self.network: Any = load_network(
            model, dtype=dtype, device=device, quantization=quantization
        )
        self.ends = end_tokens(self.tokenizer, self.network, stop, model)
        self.context, self.max_new_tokens, self.batch = context, max_new_tokens, batch
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self.decoder = Decoder(self.network, ends=self.ends, longest=max_new_tokens)
        self._grammar_tokenizer: Any = None

    def describe(self) -> dict[str, Any]:
        """Return name, class, sizes and number format, as plain values."""
        weight = self.network.get_input_embeddings().weight
        return {
            "model": self.name,
            "class": type(self.network).__name__,
            "parameters": sum(each.numel() for each in self.network.parameters()),
            "vocabulary": weight.shape[0],
            "dtype": str(weight.dtype).removeprefix("torch."),
            "device": str(weight.device),
        }

    def tuner(self, make: Callable[[Any, Any], T]) -> T | None:
        """Return `make(network, tokenizer)`: the weights are here."""
        return make(self.network, self.tokenizer)

    def count_tokens(self, text: str) -> int:
        """Return the tokens of a text, without special ones."""
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def fits(self, prompt: str) -> bool:
        """Return whether a prompt leaves room for `max_new_tokens` in the context."""
        return len(self._ids(prompt)) + self.max_new_tokens <= self.context

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        grammars: Sequence[str] | None = None,
        on_reply: Callable[[], None] = lambda: None,
    ) -> list[Reply]:
        """Return one reply per prompt, in order; reply i is drawn with seed i under grammar i.

        A batch that does not fit the memory is halved, for good. Raises RuntimeError where a
        single reply does not fit.
        """
        encoded = {prompt: self._ids(prompt) for prompt in prompts}  # siblings share theirs
        ids = [encoded[prompt] for prompt in prompts]
        waiting = sorted(range(len(prompts)), key=lambda i: len(ids[i]))
        replies: dict[int, Reply] = {}
        while waiting:
            rows = waiting[: self.batch]
            began = time.perf_counter()
            try:
                outputs = self._sample(
                    [ids[i] for i in rows],
                    [seeds[i] for i in rows],
                    None if grammars is None else [grammars[i] for i in rows],
                )
            except RuntimeError as error:
                if len(rows) == 1 or not ran_out_of_memory(error):
                    raise
                self.batch = len(rows) // 2
                continue
            waiting = waiting[len(rows) :]
            seconds = (time.perf_counter() - began) / len(rows)
            for i, output in zip(rows, outputs, strict=True):
                end = next((k for k, token in enumerate(output) if token in self.ends), None)
                kept = output if end is None else output[:end]
                replies[i] = Reply(
                    text=decoded(self.tokenizer, kept),
                    prompt_tokens=len(ids[i]),
                    output_tokens=len(output) if end is None else end + 1,
                    seconds=seconds,
                    finished=end is not None,
                )
                on_reply()
        return [replies[i] for i in range(len(prompts))]

    def _ids(self, prompt: str) -> list[int]:
        turn = [{"role": "user", "content": prompt}]
        text = self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _sample(
        self, ids: list[list[int]], seeds: Sequence[int], grammars: Sequence[str] | None
    ) -> list[list[int]]:
        """Return the new tokens of every row, without what follows its end."""
        from deltanas.llm.sampling import SeededSampling

        locks = None
        if grammars is not None:
            if self._grammar_tokenizer is None:
                width = self.network.get_output_embeddings().weight.shape[0]
                self._grammar_tokenizer = grammar_tokenizer(self.tokenizer, width, self.ends)
            locks = Locks(self._grammar_tokenizer, grammars, self.ends)
        sampling = SeededSampling(
            seeds, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p
        )
        return self.decoder.decode(ids, sampling, locks)
