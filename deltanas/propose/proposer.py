"""Who writes deltas: the LLM, or the random-edit control at the same number of attempts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

from deltanas.propose.examples import choose_examples, examples_text
from deltanas.propose.grammar import delta_grammar
from deltanas.propose.hunks import bare_hunks, number_hunks
from deltanas.propose.prompt import REPAIR, check_template, excerpt_of, render_prompt
from deltanas.propose.random_edit import EditError, random_edit, unified_delta
from deltanas.records import Baseline, Drawn, Proposal, Reply, Request

T = TypeVar("T")


class LanguageModel(Protocol):
    """Answers single user turns."""

    def describe(self) -> dict[str, Any]:
        """Return what identifies the LLM, as plain values, for the run's record."""
        ...

    def tuner(self, make: Callable[[Any, Any], T]) -> T | None:
        """Return `make(network, tokenizer)`; None where the weights are elsewhere."""
        ...

    def count_tokens(self, text: str) -> int:
        """Return the tokens of a text, without special ones."""
        ...

    def fits(self, prompt: str) -> bool:
        """Return whether a prompt leaves room for the longest answer in the context."""
        ...

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        grammars: Sequence[str] | None = None,
        on_reply: Callable[[], None] = lambda: None,
        drawn: Sequence[Drawn] | None = None,
    ) -> list[Reply]:
        """Return one reply per prompt, in order; reply i is drawn with seed i under grammar i.

        With `drawn` a reply is none of those that are named there, nor another one to the same
        prompt on the same topic; what is left is distributed as ever. None: it may be.
        """
        ...


class Proposer(Protocol):
    """Writes one delta per request."""

    def fits(self, baseline: Baseline, dataset: str) -> bool:
        """Return whether the proposer can take this baseline."""
        ...

    def mends(self, request: Request) -> bool:
        """Return whether the proposer can take a request with a failed attempt."""
        ...

    def count_tokens(self, text: str) -> int | None:
        """Return the tokens of a text by the proposer's tokenizer; None where it has none."""
        ...

    def propose(
        self,
        requests: Sequence[Request],
        on_reply: Callable[[], None] = lambda: None,
    ) -> list[Proposal]:
        """Return proposal i for request i, drawn with its seed; `on_reply` is told of each."""
        ...


class LLMProposer:
    """Asks a language model, freely or locked to the lines of the baseline.

    What it asks for is the template's matter; a lock makes sense for deltas only.
    """

    def __init__(
        self,
        llm: LanguageModel,
        *,
        template: str,
        locked: bool,
        lock_names: bool = False,
        repair_template: str = "",
        examples: int = 0,
        replacement: bool = True,
    ) -> None:
        """Take templates of a first attempt and of a repair; none of the latter: it mends nothing.

        A first prompt shows up to `examples` earlier deltas. Without `replacement` no reply to a
        baseline on a data set comes twice. Raises ValueError for a template with unknown
        placeholders or without source.
        """
        check_template(template)
        if repair_template:
            check_template(repair_template, REPAIR)
        self.llm, self.template, self.repair_template = llm, template, repair_template
        self.locked, self.lock_names, self.examples = locked, lock_names, examples
        self.replacement = replacement

    def fits(self, baseline: Baseline, dataset: str) -> bool:
        """Return whether prompt and longest answer fit the LLM's context; nothing is truncated."""
        return self.llm.fits(render_prompt(self.template, baseline, dataset))

    def mends(self, request: Request) -> bool:
        """Return whether what failed fits the context beside the baseline and an answer."""
        return bool(self.repair_template) and self.llm.fits(self._prompt(request))

    def count_tokens(self, text: str) -> int | None:
        """Return the tokens of a text by the LLM's tokenizer."""
        return self.llm.count_tokens(text)

    def propose(
        self,
        requests: Sequence[Request],
        on_reply: Callable[[], None] = lambda: None,
    ) -> list[Proposal]:
        """Return proposal i for request i, drawn with its seed; `on_reply` is told of each."""
        seeds = [request.seed for request in requests]
        prompts = [self._prompt(request) for request in requests]
        asked = [(request.slot.baseline, self._template(request)) for request in requests]
        # siblings share theirs
        shown = {(b.code, template): excerpt_of(b, template) for b, template in asked}
        views = [shown[baseline.code, template] for baseline, template in asked]
        grammars = None
        if self.locked:
            written = {
                key: delta_grammar(view, lock_names=self.lock_names) for key, view in shown.items()
            }
            grammars = [written[baseline.code, template] for baseline, template in asked]
        drawn = None if self.replacement else [self._drawn(request) for request in requests]
        replies = self.llm.generate(prompts, seeds, grammars, on_reply, drawn)
        return [
            Proposal(
                prompt=prompt,
                reply=number_hunks(view, reply.text) if self._complete(reply) else reply.text,
                prompt_tokens=reply.prompt_tokens,
                output_tokens=reply.output_tokens,
                seconds=reply.seconds,
                seed=seed,
                truncated=not reply.finished,
                writer="llm",
                repeats=reply.repeats,
            )
            for prompt, view, reply, seed in zip(prompts, views, replies, seeds, strict=True)
        ]

    def _drawn(self, request: Request) -> Drawn:
        """Return what is not to come again, as the LLM wrote it before its hunks were numbered."""
        numbered = (self.locked and not each.truncated for each in request.replies)
        texts = (
            bare_hunks(each.reply) if done else each.reply
            for each, done in zip(request.replies, numbered, strict=True)
        )
        topic = f"{request.slot.dataset}/{request.slot.baseline.baseline_id}"
        return Drawn(topic=topic, texts=frozenset(texts))

    def _complete(self, reply: Reply) -> bool:
        return self.locked and reply.finished

    def _template(self, request: Request) -> str:
        return self.repair_template if request.failed else self.template

    def _prompt(self, request: Request) -> str:
        """Return the user turn, with as many examples as fit the context."""
        slot, template = request.slot, self._template(request)
        if request.failed:
            return render_prompt(template, slot.baseline, slot.dataset, failed=request.failed[-1])
        chosen = choose_examples(request, self.examples)
        for count in range(len(chosen), 0, -1):
            text = examples_text(chosen[:count])
            prompt = render_prompt(template, slot.baseline, slot.dataset, examples=text)
            if self.llm.fits(prompt):
                return prompt
        return render_prompt(template, slot.baseline, slot.dataset)


class RandomEditProposer:
    """Edits baselines by consistent random operators, without any LLM."""

    def fits(self, baseline: Baseline, dataset: str) -> bool:
        """Return whether any operator applies."""
        try:
            random_edit(baseline.code, Random(0))
        except EditError:
            return False
        return True

    def mends(self, request: Request) -> bool:
        """Return False: a random edit learns nothing from a failure."""
        return False

    def count_tokens(self, text: str) -> int | None:
        """Return None: there is no tokenizer."""
        return None

    def propose(
        self,
        requests: Sequence[Request],
        on_reply: Callable[[], None] = lambda: None,
    ) -> list[Proposal]:
        """Return proposal i for request i; an empty reply where no operator applies."""
        proposals = []
        for request in requests:
            code, seed = request.slot.baseline.code, request.seed
            began = time.perf_counter()
            try:
                reply = unified_delta(code, random_edit(code, Random(seed)))
            except EditError:
                reply = ""
            proposals.append(
                Proposal(
                    prompt="",
                    reply=reply,
                    prompt_tokens=0,
                    output_tokens=0,
                    seconds=time.perf_counter() - began,
                    seed=seed,
                    writer="random_edit",
                )
            )
            on_reply()
        return proposals
