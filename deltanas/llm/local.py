"""A language model whose weights this process holds, with transformers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from deltanas.llm.loading import (
    decoded,
    end_tokens,
    load_network,
    load_tokenizer,
    ran_out_of_memory,
)
from deltanas.llm.locked import Locks, grammar_tokenizer
from deltanas.records import Drawn, Reply

if TYPE_CHECKING:
    from deltanas.llm.drawing import Drawing
    from deltanas.llm.lots import Lot

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
        drawn: Sequence[Drawn] | None = None,
    ) -> list[Reply]:
        """Return one reply per prompt, in order; reply i is drawn with seed i under grammar i.

        With `drawn` reply i is none of the texts that drawn[i] names, nor an earlier reply of this
        call to the same prompt on the same topic: of those replies, one that is drawn as the LLM
        samples, all of a topic by the seed of its first. Where the LLM has no other reply left,
        one comes again and says so. A batch that does not fit the memory is halved, for good.
        Raises RuntimeError where a single reply does not fit.
        """
        encoded = {prompt: self._ids(prompt) for prompt in prompts}  # siblings share theirs
        asked = _Asked([encoded[prompt] for prompt in prompts], seeds, grammars)
        lots = None if drawn is None else self._lots(prompts, asked, drawn)
        waiting = sorted(range(len(prompts)), key=lambda i: len(asked.ids[i]))
        replies: dict[int, Reply] = {}
        while waiting:
            rows = waiting[: self.batch]
            began = time.perf_counter()
            try:
                outputs = self._write(asked, rows, lots)
            except RuntimeError as error:
                if len(rows) == 1 or not ran_out_of_memory(error):
                    raise
                self.batch = len(rows) // 2
                continue
            waiting = waiting[len(rows) :]
            seconds = (time.perf_counter() - began) / len(rows)
            for i, (output, repeats) in zip(rows, outputs, strict=True):
                said, finished = self._said(output)
                replies[i] = Reply(
                    text=decoded(self.tokenizer, said),
                    prompt_tokens=len(asked.ids[i]),
                    output_tokens=len(said) + finished,
                    seconds=seconds,
                    finished=finished,
                    repeats=repeats,
                )
                on_reply()
        return [replies[i] for i in range(len(prompts))]

    def _ids(self, prompt: str) -> list[int]:
        turn = [{"role": "user", "content": prompt}]
        text = self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _said(self, output: Sequence[int]) -> tuple[Sequence[int], bool]:
        """Return the tokens of an answer before its end, and whether it came to one."""
        end = next((k for k, token in enumerate(output) if token in self.ends), None)
        return output if end is None else output[:end], end is not None

    def _write(
        self, asked: _Asked, rows: Sequence[int], lots: Sequence[Lot] | None
    ) -> list[tuple[list[int], bool]]:
        """Return the tokens of every row, and whether no reply was left that was not known."""
        if lots is None:
            return [(output, False) for output in self._sample(*asked.of(rows))]
        wanted = Counter(lots[i] for i in rows)
        self._heat(asked.grammars is not None).run(wanted)
        arrived = {lot: lot.arrived(count) for lot, count in wanted.items()}
        left = {lot: iter(answers) for lot, answers in arrived.items()}
        outputs = {i: next(left[lots[i]], None) for i in rows}
        short = [i for i, output in outputs.items() if output is None]
        again = dict(zip(short, self._sample(*asked.of(short)), strict=True)) if short else {}
        for lot, count in wanted.items():
            lot.take(count)
        return [(outputs[i] or again[i], i in again) for i in rows]

    def _lots(self, prompts: Sequence[str], asked: _Asked, drawn: Sequence[Drawn]) -> list[Lot]:
        """Return one lot for all replies to a prompt on a topic."""
        from deltanas.llm.lots import Lot

        lots: dict[tuple[str, str], Lot] = {}
        for i, (prompt, known) in enumerate(zip(prompts, drawn, strict=True)):
            if (prompt, known.topic) not in lots:
                grammar = None if asked.grammars is None else asked.grammars[i]
                tokens = {
                    text: self.tokenizer.encode(text, add_special_tokens=False)
                    for text in known.texts
                }
                lots[prompt, known.topic] = Lot(
                    asked.ids[i], grammar, seed=asked.seeds[i], known=tokens
                )
        return [lots[key, known.topic] for key, known in zip(prompts, drawn, strict=True)]

    def _heat(self, locked: bool) -> Drawing:
        from deltanas.llm.drawing import Drawing
        from deltanas.llm.sampling import truncated

        cut = partial(truncated, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)
        locks = self._locks(()) if locked else None
        return Drawing(
            self.decoder, cut, locks, lambda answer: decoded(self.tokenizer, self._said(answer)[0])
        )

    def _locks(self, grammars: Sequence[str]) -> Locks:
        if self._grammar_tokenizer is None:
            width = self.network.get_output_embeddings().weight.shape[0]
            self._grammar_tokenizer = grammar_tokenizer(self.tokenizer, width, self.ends)
        return Locks(self._grammar_tokenizer, grammars, self.ends)

    def _sample(
        self, ids: list[list[int]], seeds: Sequence[int], grammars: Sequence[str] | None
    ) -> list[list[int]]:
        """Return the new tokens of every row, without what follows its end."""
        from deltanas.llm.sampling import SeededSampling

        sampling = SeededSampling(
            seeds, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p
        )
        locks = None if grammars is None else self._locks(grammars)
        return self.decoder.decode(ids, sampling, locks)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked in one call, row by row."""

    ids: list[list[int]]
    seeds: Sequence[int]
    grammars: Sequence[str] | None

    def of(self, rows: Sequence[int]) -> tuple[list[list[int]], list[int], list[str] | None]:
        """Return what is asked in some rows."""
        grammars = None if self.grammars is None else [self.grammars[i] for i in rows]
        return [self.ids[i] for i in rows], [self.seeds[i] for i in rows], grammars
