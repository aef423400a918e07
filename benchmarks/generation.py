"""Deltas a second: transformers' `generate` against the sampling loop of this project.

    python benchmarks/generation.py [--rounds 3]

All sides answer prompts of built-in baselines with the embedded LLM at the sampling of
conf/llm/tiny.yaml, 32 different ones a round or (siblings) 4 replies to each of the first 8. They
take turns on one thread, in every round once:

- `generate` of transformers, which knows no grammar: it writes freely, and every reply counts as
  a delta, though it may not apply. One prompt at a time, as nn-gpt calls it, and 32 replies at
  once: prompts padded on the left, until the last reply has ended; for siblings with
  `num_return_sequences`, which reads a prompt once for each.
- the loop without a grammar (`free`), at batch 32;
- the loop under a grammar for every baseline: with a mask for every token (`masks`), also at
  batch 12; with forced tokens skipped (`lock`, what a run does); the same with grammars known
  from before, as of baselines that come again;
- the loop reading 32 prompts and drawing a token each: the limit without siblings.

Prints medians of the rounds and writes benchmarks/results/generation.json. Ratios are taken in
every round, by CPU time, which other processes move less than wall time: to `generate` at
batch 1, and to `generate` at batch 32, with siblings where the side has them. The allocator keeps
what is freed (`ALLOCATOR`): where the system hands memory out slowly, the keys and values that
`generate` copies for every token would else cost as much again.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from results import write
from transformers import GenerationConfig

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.cli.environment import CALM, ensure
from deltanas.config.compose import from_hydra, register
from deltanas.config.schema import LLMConfig
from deltanas.llm.decoding import Decoder, Work
from deltanas.llm.local import TransformersLLM
from deltanas.llm.locked import Locks, grammar_tokenizer
from deltanas.llm.sampling import SeededSampling
from deltanas.propose.grammar import delta_grammar
from deltanas.propose.prompt import excerpt_of, render_prompt
from deltanas.records import Baseline

CONF = Path(__file__).parents[1] / "conf"
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}
BATCH, SIBLINGS = 32, 4
KNOWN = "lock, known, siblings"
ONE, MANY, MANY_SIBLINGS = "generate, batch 1", "generate", "generate, siblings"


class Timed(Locks):
    """Locks that count their CPU time; without `skip` they leave every token to the masks."""

    def __init__(self, *arguments: Any, skip: bool) -> None:
        super().__init__(*arguments)
        self.skip, self.seconds = skip, 0.0

    def forced(self, reply: Hashable) -> list[int]:
        if self.skip:
            return super().forced(reply)
        return self.ends[:1] if self.matchers[reply].is_stopped() else []

    def follow(self, reply: Hashable, token: int) -> list[int]:
        began = time.process_time()
        found = super().follow(reply, token)
        self.seconds += time.process_time() - began
        return found

    def mask(self, logits: torch.Tensor, replies: Sequence[Hashable]) -> torch.Tensor:
        began = time.process_time()
        found = super().mask(logits, replies)
        self.seconds += time.process_time() - began
        return found


class Bench:
    """The embedded LLM, and what is asked of it in one round."""

    def __init__(self) -> None:
        register()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            self.config: LLMConfig = from_hydra(compose("config")).llm
        config = self.config
        self.llm = TransformersLLM(
            config.model,
            dtype=config.dtype,
            device="cpu",
            context=config.context,
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
            batch=BATCH,
        )
        self.baselines = [
            baseline
            for baseline in BuiltinArchive().baselines(dataset="cifar10")
            if self.llm.fits(render_prompt(config.prompt, baseline, "cifar10"))
        ]
        self.forget()

    def forget(self) -> None:
        """Let every grammar of the next side be a new one."""
        delta_grammar.cache_clear()
        width = self.llm.network.config.vocab_size
        self.tokenizer = grammar_tokenizer(self.llm.tokenizer, width, self.llm.ends)
        self.written = self.masked = 0.0  # CPU seconds of grammars and of masks, of the next side

    def ids(self, baseline: Baseline) -> list[int]:
        turn = [{"role": "user", "content": render_prompt(self.config.prompt, baseline, "c")}]
        tokenizer = self.llm.tokenizer
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return list(tokenizer.encode(text, add_special_tokens=False))

    def generate(
        self, baselines: Sequence[Baseline], seed: int, *, batch: int, siblings: int = 1
    ) -> Work:
        """Answer `batch` prompts at a time, each `siblings` times, with transformers' own loop."""
        work = Work()
        settings = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=True,
            temperature=self.config.temperature,
            top_k=self.config.top_k,
            top_p=self.config.top_p,
            max_new_tokens=self.config.max_new_tokens,
            num_return_sequences=siblings,
            eos_token_id=self.llm.ends,
            pad_token_id=self.llm.tokenizer.pad_token_id,
        )
        torch.manual_seed(seed)
        for first in range(0, len(baselines), batch):
            ids = [self.ids(baseline) for baseline in baselines[first : first + batch]]
            padded = self.llm.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
            found = self.llm.network.generate(
                padded["input_ids"],
                attention_mask=padded["attention_mask"],
                generation_config=settings,
            )
            answers = found[:, padded["input_ids"].shape[1] :]
            ended = torch.isin(answers, torch.tensor(self.llm.ends)).cumsum(dim=1)
            work.forwards += answers.shape[1]
            work.sampled += int((ended == 0).sum() + (ended.amax(dim=1) > 0).sum())
            work.read += siblings * padded["input_ids"].numel()  # padding too
        return work

    def read(self, baselines: Sequence[Baseline]) -> Work:
        """Read prompts with the loop of this project, and draw one token each."""
        decoder = Decoder(self.llm.network, ends=self.llm.ends, longest=1)
        sampling = SeededSampling(range(len(baselines)), temperature=1.0, top_k=1, top_p=1.0)
        decoder.decode([self.ids(baseline) for baseline in baselines], sampling, None)
        return decoder.work

    def loop(self, baselines: Sequence[Baseline], seed: int, *, skip: bool | None) -> Work:
        """Answer a batch with the loop of this project, under the lock or (None) without it."""
        decoder = Decoder(self.llm.network, ends=self.llm.ends, longest=self.config.max_new_tokens)
        sampling = SeededSampling(
            range(seed, seed + len(baselines)),
            temperature=self.config.temperature,
            top_k=self.config.top_k,
            top_p=self.config.top_p,
        )
        locks = None if skip is None else self._locks(baselines, skip)
        encoded = {baseline.code: self.ids(baseline) for baseline in baselines}
        decoder.decode([encoded[baseline.code] for baseline in baselines], sampling, locks)
        self.masked = locks.seconds if locks else 0.0
        return decoder.work

    def _locks(self, baselines: Sequence[Baseline], skip: bool) -> Timed:
        began = time.process_time()
        written = {
            baseline.code: delta_grammar(excerpt_of(baseline, self.config.prompt), lock_names=True)
            for baseline in {each.code: each for each in baselines}.values()
        }
        grammars = [written[baseline.code] for baseline in baselines]
        locks = Timed(self.tokenizer, grammars, self.llm.ends, skip=skip)
        self.written = time.process_time() - began
        return locks


def sides(
    bench: Bench, drawn: list[Baseline], seed: int
) -> dict[str, tuple[int, Callable[[], Work]]]:
    """Return the replies of every side to 32 baselines, and the call that gives them."""
    first = drawn[: BATCH // SIBLINGS]
    shared = [each for each in first for _ in range(SIBLINGS)]
    several = {"batch": len(first), "siblings": SIBLINGS}
    return {
        ONE: (BATCH, partial(bench.generate, drawn, seed, batch=1)),
        MANY: (BATCH, partial(bench.generate, drawn, seed, batch=BATCH)),
        MANY_SIBLINGS: (BATCH, partial(bench.generate, first, seed, **several)),
        "free": (BATCH, partial(bench.loop, drawn, seed, skip=None)),
        "free, siblings": (BATCH, partial(bench.loop, shared, seed, skip=None)),
        "masks, batch 12": (12, partial(bench.loop, drawn[:12], seed, skip=False)),
        "masks": (BATCH, partial(bench.loop, drawn, seed, skip=False)),
        "masks, siblings": (BATCH, partial(bench.loop, shared, seed, skip=False)),
        "lock": (BATCH, partial(bench.loop, drawn, seed, skip=True)),
        "lock, siblings": (BATCH, partial(bench.loop, shared, seed, skip=True)),
        KNOWN: (BATCH, partial(bench.loop, shared, seed, skip=True)),
        "reading prompts": (BATCH, partial(bench.read, drawn)),
    }


def timed(bench: Bench, replies: int, answer: Callable[[], Work]) -> dict[str, float]:
    """Return the figures of one side in one round."""
    wall, cpu = time.perf_counter(), time.process_time()
    work = answer()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    tokens = work.sampled + work.forced
    return {
        "tokens_per_cpu_second": tokens / cpu,
        "deltas_per_cpu_second": replies / cpu,
        "deltas_per_second": replies / wall,
        "constraint_share": (bench.written + bench.masked) / cpu,
        "masks_share": bench.masked / cpu,
        "sampled_share": work.sampled / tokens,
        "forwards_per_delta": work.forwards / replies,
        "prompt_tokens_read_per_delta": work.read / replies,
        "tokens_per_delta": tokens / replies,
    }


def measured(rounds: int) -> dict[str, dict[str, float]]:
    """Return the medians of every side over alternating rounds."""
    bench = Bench()
    figures: dict[str, dict[str, list[float]]] = {}
    for turn in range(rounds):
        found: dict[str, dict[str, float]] = {}
        drawn = random.Random(turn).sample(bench.baselines, BATCH)
        for name, (replies, answer) in sides(bench, drawn, turn).items():
            if name != KNOWN:
                bench.forget()
            found[name] = timed(bench, replies, answer)
        for name, side in found.items():
            many = found[MANY_SIBLINGS if name.endswith("siblings") else MANY]
            for unit in ("tokens", "deltas"):
                speed = side[f"{unit}_per_cpu_second"]
                for batch, theirs in ((1, found[ONE]), (BATCH, many)):
                    ratio = speed / theirs[f"{unit}_per_cpu_second"]
                    side[f"{unit}_ratio_to_batch_{batch}"] = ratio
            for key, value in side.items():
                figures.setdefault(name, {}).setdefault(key, []).append(value)
    return {
        name: {key: statistics.median(values) for key, values in side.items()}
        for name, side in figures.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ensure({**CALM, **ALLOCATOR})
    torch.set_num_threads(1)
    found = measured(options.rounds)
    print(
        f"{'':<22}{'tokens/s':>9}{'to 1':>6}{'to 32':>6}{'deltas/s':>9}{'to 1':>6}{'to 32':>6}",
        end="",
    )
    print(f"{'drawn':>7}{'lock':>7}{'masks':>7}")
    for name, side in found.items():
        print(f"{name:<22}", end="")
        for unit, digits in (("tokens", 0), ("deltas", 2)):
            print(f"{side[f'{unit}_per_cpu_second']:>9.{digits}f}", end="")
            for batch in (1, BATCH):
                print(f"{side[f'{unit}_ratio_to_batch_{batch}']:>6.1f}", end="")
        for key in ("sampled_share", "constraint_share", "masks_share"):
            print(f"{side[key]:>7.1%}", end="")
        print()
    print(write("generation", {"rounds": options.rounds, "sides": found}))


if __name__ == "__main__":
    main()
