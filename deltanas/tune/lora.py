"""LoRA on lessons: one adapter that goes on training from cycle to cycle."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from deltanas.tune.adapter_files import load_adapter, save_adapter
from deltanas.tune.objectives.base import Objective, Unit
from deltanas.tune.packing import Example, Piece, packed_attention
from deltanas.tune.pieces import pieces_of, scored
from deltanas.tune.rendering import TuningError, render_example
from deltanas.tune.scoring import held_out_loss
from deltanas.tune.training import DivergedError, LoraSettings, fit
from deltanas.tune.tuner import Guard, Lesson, TuneResult


class LoraTuner:
    """Owns the adapter of an LLM.

    The adapter is put into the LLM's own layers at once and does nothing until it is trained;
    the same object then generates with it. The LLM's weights are frozen and never change.
    """

    def __init__(
        self,
        llm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        settings: LoraSettings,
        objective: Objective,
        *,
        max_tokens: int,
        seed: int,
        gradient_checkpointing: bool = False,
    ) -> None:
        """Add a new adapter; `seed` draws its first weights.

        `max_tokens` is the longest pair to train on, prompt and answer together (the LLM's
        context). An objective that compares log-probabilities goes without dropout, which would
        blur them. Gradient checkpointing trades a second forward pass for memory.
        Raises TuningError for a target that no layer of the LLM is named after, for a chat
        template that renders a prompt with its answer differently from the prompt alone, and for
        an LLM whose examples would see each other in one row.
        """
        names = {name.rpartition(".")[2] for name, _ in llm.named_modules()}
        missing = sorted(set(settings.targets) - names)
        if missing:
            raise TuningError(f"LoRA targets {missing} name no layer of {type(llm).__name__}")
        render_example(tokenizer, "ask", "say")
        with packed_attention(llm):
            pass  # it says here, not after a cycle, that it cannot
        self.llm = llm
        self.tokenizer = tokenizer
        self.settings = replace(settings, dropout=0.0) if objective.compares else settings
        self.objective = objective
        self.max_tokens = max_tokens
        self.gradient_checkpointing = gradient_checkpointing
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=settings.r,
            lora_alpha=settings.alpha,
            lora_dropout=self.settings.dropout,
            target_modules=list(settings.targets),
        )
        with self._random_state(seed), _old_names():
            self.adapted = get_peft_model(llm, config)
        llm.train(False)

    def fits(self, lesson: Lesson) -> bool:
        """Return whether the LLM can be taught the prompt with each of its answers.

        Each must fit its context and be rendered to what the LLM would have written.
        """
        try:
            return all(len(tokens) <= self.max_tokens for tokens, _ in self._rendered(lesson))
        except TuningError:
            return False

    def learn(
        self,
        lessons: Sequence[Lesson],
        held_out: Sequence[Lesson],
        *,
        seed: int,
        directory: Path,
        guard: Guard | None = None,
    ) -> TuneResult:
        """Train the adapter on `lessons`, keep it unless it is seen to be worse, and save it.

        Losses count answers only. The adapter stays as it was when the `guard` says so, when the
        training diverges, when an exception interrupts it and, for an objective that imitates,
        when the loss of `held_out` rises: others may make answers less likely that nobody
        judged. `directory` appears complete or not at all and replaces one of that name. Other
        users of torch's random numbers are not disturbed. Afterwards the LLM is in evaluation
        mode. Raises ValueError for no lesson on either side, and for one over `max_tokens`.
        """
        if not lessons or not held_out:
            raise ValueError(
                f"{len(lessons)} lessons to train on and {len(held_out)} held out; "
                "both must be 1 or more"
            )
        started = time.perf_counter()
        for lesson in (*lessons, *held_out):
            self._check(lesson)
        pieces = pieces_of(lessons, self.objective, self._rendered)
        watched = [example for lesson in held_out for example in self._rendered(lesson)]
        loss_before = self._held_out_loss(watched)
        count = guard.count() if guard else 0
        before = self._weights()
        steps, loss_after, kept = 0, math.nan, False
        try:
            steps = self._fit(pieces, seed)
            loss_after = self._held_out_loss(watched)
            kept = loss_after <= loss_before or (
                self.objective.compares and math.isfinite(loss_after)
            )
            if kept and guard:
                kept = not guard.worse(count, guard.count())
        except DivergedError:
            pass  # a loss that stays NaN is not kept
        except BaseException:
            self._restore(before)
            raise
        if not kept:
            self._restore(before)
        self.llm.train(False)
        save_adapter(self.adapted, self.llm, self.settings, directory)
        return TuneResult(
            loss_before=loss_before,
            loss_after=loss_after if math.isfinite(loss_after) else None,
            kept=kept,
            steps=steps,
            tokens=self.settings.epochs
            * sum(len(tokens) for piece in pieces for tokens, _ in piece.examples),
            seconds=time.perf_counter() - started,
        )

    def load(self, directory: Path) -> None:
        """Put a saved adapter's weights in place of the present ones, to go on from them.

        Raises FileNotFoundError when `directory` holds no adapter, and ValueError when that
        adapter was made with another rank, alpha or targets.
        """
        load_adapter(self.adapted, self.settings, directory)

    def _rendered(self, lesson: Lesson | Unit) -> list[Example]:
        return [
            render_example(self.tokenizer, lesson.prompt, one.text, finished=one.finished)
            for one in lesson.answers
        ]

    def _check(self, lesson: Lesson) -> None:
        for tokens, _ in self._rendered(lesson):
            if len(tokens) > self.max_tokens:
                raise ValueError(
                    f"lesson {lesson.name!r} has {len(tokens)} tokens; "
                    f"at most {self.max_tokens} fit, and none is ever cut"
                )

    def _fit(self, pieces: Sequence[Piece], seed: int) -> int:
        """Train on the pieces, if any; return the optimizer steps."""
        if not pieces:
            return 0
        settings = self.settings
        if self.objective.compares:
            pieces = scored(
                self.llm,
                self.adapted,
                pieces,
                self.objective,
                batch=settings.batch,
                max_tokens=self.max_tokens,
            )
        with self._random_state(seed), self._checkpointing():
            return fit(
                self.llm,
                pieces,
                settings,
                self.objective,
                max_tokens=self.max_tokens,
                seed=seed,
            )

    def _held_out_loss(self, examples: Sequence[Example]) -> float:
        return held_out_loss(
            self.llm, examples, batch=self.settings.batch, max_tokens=self.max_tokens
        )

    def _weights(self) -> dict[str, Tensor]:
        return {
            name: weight.detach().clone()
            for name, weight in self.llm.named_parameters()
            if weight.requires_grad
        }

    @torch.no_grad()
    def _restore(self, weights: dict[str, Tensor]) -> None:
        for name, weight in self.llm.named_parameters():
            if name in weights:
                weight.copy_(weights[name])
        self.llm.zero_grad(set_to_none=True)
        self.llm.train(False)

    @contextmanager
    def _random_state(self, seed: int) -> Iterator[None]:
        """Seed torch's global generators, and give back their states afterwards."""
        devices = [self.llm.device] if self.llm.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            yield

    @contextmanager
    def _checkpointing(self) -> Iterator[None]:
        if not self.gradient_checkpointing:
            yield
            return
        with _old_names():
            self.llm.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            with _old_names():
                self.llm.gradient_checkpointing_disable()  # type: ignore[no-untyped-call]
            self.llm.disable_input_require_grads()  # type: ignore[no-untyped-call]


@contextmanager
def _old_names() -> Iterator[None]:
    """Accept the old names of gradient checkpointing: PEFT and transformers < 5.23 need them."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", ".*gradient_checkpointing.* is deprecated", FutureWarning
        )
        yield
