"""LoRA on curated pairs: one adapter that goes on training from cycle to cycle."""

from __future__ import annotations

import math
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from deltanas.tune.card import named_errors, write_card
from deltanas.tune.packing import Example, packed_attention
from deltanas.tune.rendering import TuningError, render_example
from deltanas.tune.training import DivergedError, LoraSettings, fit, held_out_loss
from deltanas.tune.tuner import Lesson, TuneResult

_WEIGHTS = "adapter_model.safetensors"  # the names that PEFT's own from_pretrained looks for
_ADAPTER = "default"


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
        *,
        max_tokens: int,
        seed: int,
        gradient_checkpointing: bool = False,
    ) -> None:
        """Add a new adapter; `seed` draws its first weights.

        `max_tokens` is the longest pair to train on, prompt and answer together (the LLM's
        context). Gradient checkpointing trades a second forward pass for memory.
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
        self.settings = settings
        self.max_tokens = max_tokens
        self.gradient_checkpointing = gradient_checkpointing
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=settings.r,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=list(settings.targets),
        )
        with self._random_state(seed), _old_names():
            self.adapted = get_peft_model(llm, config)
        llm.train(False)

    def fits(self, lesson: Lesson) -> bool:
        """Return whether the prompt and each of its answers fit the LLM's context together."""
        rendered = (render_example(self.tokenizer, lesson.prompt, a.text) for a in lesson.answers)
        return all(len(tokens) <= self.max_tokens for tokens, _ in rendered)

    def learn(
        self, lessons: Sequence[Lesson], held_out: Sequence[Lesson], *, seed: int, directory: Path
    ) -> TuneResult:
        """Train the adapter on `lessons`, keep it unless `held_out` got worse, and save it.

        The loss counts answers only. The adapter stays as it was when the held-out loss rises,
        when the training diverges, and when an exception interrupts it. `directory` appears
        complete or not at all and replaces one of that name. Other users of torch's random
        numbers are not disturbed. Afterwards the LLM is in evaluation mode.
        Raises ValueError for no lesson on either side, and for one over `max_tokens`.
        """
        if not lessons or not held_out:
            raise ValueError(
                f"{len(lessons)} lessons to train on and {len(held_out)} held out; "
                "both must be 1 or more"
            )
        started = time.perf_counter()
        examples = [example for lesson in lessons for example in self._examples(lesson)]
        watched = [example for lesson in held_out for example in self._examples(lesson)]
        loss_before = self._held_out_loss(watched)
        before = self._weights()
        steps, loss_after = 0, math.nan
        try:
            with self._random_state(seed), self._checkpointing():
                steps = fit(
                    self.llm, examples, self.settings, max_tokens=self.max_tokens, seed=seed
                )
            loss_after = self._held_out_loss(watched)
        except DivergedError:
            pass  # a loss that stays NaN is not kept
        except BaseException:
            self._restore(before)
            raise
        kept = loss_after <= loss_before  # False for NaN
        if not kept:
            self._restore(before)
        self.llm.train(False)
        self._save(directory)
        return TuneResult(
            loss_before=loss_before,
            loss_after=loss_after if math.isfinite(loss_after) else None,
            kept=kept,
            steps=steps,
            tokens=self.settings.epochs * sum(len(tokens) for tokens, _ in examples),
            seconds=time.perf_counter() - started,
        )

    def load(self, directory: Path) -> None:
        """Put a saved adapter's weights in place of the present ones, to go on from them.

        Raises FileNotFoundError when `directory` holds no adapter, and ValueError when that
        adapter was made with another rank, alpha or targets.
        """
        if not (directory / _WEIGHTS).is_file():
            raise FileNotFoundError(f"{directory} holds no {_WEIGHTS}")
        saved = LoraConfig.from_pretrained(str(directory))
        found = (saved.r, saved.lora_alpha, sorted(saved.target_modules or ()))
        wanted = (self.settings.r, self.settings.alpha, sorted(self.settings.targets))
        if found != wanted:
            raise ValueError(
                f"the adapter in {directory} has rank, alpha, targets {found}; "
                f"this run's have {wanted}; they must be equal"
            )
        set_peft_model_state_dict(self.adapted, load_file(directory / _WEIGHTS))

    def _examples(self, lesson: Lesson) -> Iterator[Example]:
        for answer in lesson.answers:
            tokens, start = render_example(self.tokenizer, lesson.prompt, answer.text)
            if len(tokens) > self.max_tokens:
                raise ValueError(
                    f"lesson {lesson.name!r} has {len(tokens)} tokens; "
                    f"at most {self.max_tokens} fit, and none is ever cut"
                )
            yield tokens, start

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

    def _save(self, directory: Path) -> None:
        """Write what PEFT reads, and a card, beside `directory`, then move all of it there.

        Raises OSError with the folder's name where the disk does not take it.
        """
        partial = directory.with_name(f".{directory.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed here
        partial.mkdir(parents=True)
        state = get_peft_model_state_dict(self.adapted, save_embedding_layers=False)
        weights = {name: weight.contiguous().cpu() for name, weight in state.items()}
        with named_errors(directory):
            save_file(weights, partial / _WEIGHTS, metadata={"format": "pt"})
            self.adapted.peft_config[_ADAPTER].save_pretrained(str(partial))
            write_card(partial, self.llm, self.settings)
        for path in partial.iterdir():  # the row of the cycle counts on them
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if directory.exists():
            shutil.rmtree(directory)
        partial.replace(directory)

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
