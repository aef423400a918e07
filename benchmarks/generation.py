"""Deltas a second: transformers' `generate` at batch 1 against the loop of propose/decoding.py.

    python benchmarks/generation.py [--rounds 3] [--gpu]

Sides take turns on one thread, at the sampling of conf/llm/tiny.yaml, over built-in baselines:
`generate` as nn-gpt calls it (one prompt at a time, free decoding), then the loop at batch 12 and
32 with masks for every token; with 4 replies to each prompt; with forced tokens skipped; with
both; the same again, now with known grammars. The last side reads 32 prompts and draws a token
each: the limit without siblings. Prints medians and writes benchmarks/results/generation.json.
Speeds are by CPU time, which other processes move less than wall time. `--gpu` adds the exact
configuration of Qwen2.5-Coder-7B with random weights at batch 50, as a share of what memory
bandwidth allows.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from results import write
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

from deltanas.archive.builtin_archive import BuiltinArchive
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
SIBLINGS = 4
KNOWN = "+ known grammars"
# config.json of Qwen/Qwen2.5-Coder-7B-Instruct
QWEN_7B = Qwen2Config(
    vocab_size=152064,
    hidden_size=3584,
    intermediate_size=18944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
    max_position_embeddings=32768,
    rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    tie_word_embeddings=False,
)


class Stepwise(Locks):
    """Locks that leave every token to the masks."""

    def forced(self, reply: int) -> list[int]:
        return self.ends[:1] if self.matchers[reply].is_stopped() else []


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
            batch=32,
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

    def generate(self, baselines: Sequence[Baseline], seed: int) -> Work:
        """Answer one prompt after the other with transformers' own loop, freely."""
        work = Work()
        settings = GenerationConfig(
            do_sample=True,
            temperature=self.config.temperature,
            top_k=self.config.top_k,
            top_p=self.config.top_p,
            max_new_tokens=self.config.max_new_tokens,
            eos_token_id=self.llm.ends,
            pad_token_id=self.llm.tokenizer.pad_token_id,
        )
        torch.manual_seed(seed)
        for baseline in baselines:
            ids = torch.tensor([self.ids(baseline)])
            found = self.llm.network.generate(
                ids, attention_mask=torch.ones_like(ids), generation_config=settings
            )
            written = found.shape[1] - ids.shape[1]
            work.sampled += written
            work.forwards += written
            work.read += ids.shape[1]
        return work

    def read(self, baselines: Sequence[Baseline]) -> Work:
        """Read prompts with the loop of this project, and draw one token each."""
        decoder = Decoder(self.llm.network, ends=self.llm.ends, longest=1)
        sampling = SeededSampling(range(len(baselines)), temperature=1.0, top_k=1, top_p=1.0)
        decoder.decode([self.ids(baseline) for baseline in baselines], sampling, None)
        return decoder.work

    def loop(self, baselines: Sequence[Baseline], seed: int, *, skip: bool) -> Work:
        """Answer a batch with the loop of this project, under the lock."""
        decoder = Decoder(self.llm.network, ends=self.llm.ends, longest=self.config.max_new_tokens)
        sampling = SeededSampling(
            range(seed, seed + len(baselines)),
            temperature=self.config.temperature,
            top_k=self.config.top_k,
            top_p=self.config.top_p,
        )
        began = time.process_time()
        written = {
            baseline.code: delta_grammar(excerpt_of(baseline, self.config.prompt), lock_names=True)
            for baseline in {each.code: each for each in baselines}.values()
        }
        grammars = [written[baseline.code] for baseline in baselines]
        locks = _timed(Locks if skip else Stepwise)(self.tokenizer, grammars, self.llm.ends)
        self.written = time.process_time() - began
        encoded = {baseline.code: self.ids(baseline) for baseline in baselines}
        decoder.decode([encoded[baseline.code] for baseline in baselines], sampling, locks)
        self.masked = locks.seconds
        return decoder.work


def _timed(kind: type[Locks]) -> Any:
    class Timed(kind):  # type: ignore[valid-type,misc]
        seconds = 0.0

        def _count(self, call: Callable[..., Any], *arguments: Any) -> Any:
            began = time.process_time()
            found = call(*arguments)
            self.seconds += time.process_time() - began
            return found

        def follow(self, reply: int, token: int) -> list[int]:
            return self._count(super().follow, reply, token)

        def mask(self, logits: torch.Tensor, replies: Sequence[int]) -> torch.Tensor:
            return self._count(super().mask, logits, replies)

    return Timed


def measured(rounds: int) -> dict[str, Any]:
    """Return figures of every side over alternating rounds."""
    bench = Bench()
    figures: dict[str, dict[str, list[float]]] = {}
    for turn in range(rounds):
        rng = random.Random(turn)
        drawn = rng.sample(bench.baselines, 32)
        siblings = [each for each in drawn[: 32 // SIBLINGS] for _ in range(SIBLINGS)]
        sides: dict[str, Callable[[], Work]] = {
            "generate, batch 1": lambda turn=turn, drawn=drawn: bench.generate(drawn[:6], turn),
            "batch 12": lambda drawn=drawn: bench.loop(drawn[:12], 0, skip=False),
            "batch 32": lambda drawn=drawn: bench.loop(drawn, 0, skip=False),
            "+ shared prompts": lambda each=siblings: bench.loop(each, 0, skip=False),
            "batch 32 + forced": lambda drawn=drawn: bench.loop(drawn, 0, skip=True),
            "+ shared + forced": lambda each=siblings: bench.loop(each, 0, skip=True),
            KNOWN: lambda each=siblings: bench.loop(each, 0, skip=True),
            "reading prompts": lambda drawn=drawn: bench.read(drawn),
        }
        replies = (6, 12, 32, 32, 32, 32, 32, 32)
        for (name, side), count in zip(sides.items(), replies, strict=True):
            if name != KNOWN:
                bench.forget()
            wall, cpu = time.perf_counter(), time.process_time()
            work = side()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            tokens = work.sampled + work.forced
            found = {
                "tokens_per_cpu_second": tokens / cpu,
                "deltas_per_cpu_second": count / cpu,
                "deltas_per_second": count / wall,
                "constraint_share": (bench.written + bench.masked) / cpu,
                "masks_share": bench.masked / cpu,
                "sampled_share": work.sampled / tokens,
                "forwards_per_delta": work.forwards / count,
                "prompt_tokens_read_per_delta": work.read / count,
                "tokens_per_delta": tokens / count,
            }
            for key, value in found.items():
                figures.setdefault(name, {}).setdefault(key, []).append(value)
    medians = {
        name: {key: statistics.median(values) for key, values in side.items()}
        for name, side in figures.items()
    }
    slowest = medians["generate, batch 1"]
    for side in medians.values():
        for unit in ("tokens", "deltas"):
            key = f"{unit}_per_cpu_second"
            side[f"{unit}_ratio"] = side[key] / slowest[key]
    return medians


def seven_b(
    config: Qwen2Config, device: str, *, replies: int = 50, prompt: int = 1500, steps: int = 128
) -> dict[str, float]:
    """Return seconds a step and its share of the bandwidth limit: distinct prompts, random LLM.

    A step must read all weights but the input embedding, and the keys and values of every reply.
    """
    kind = torch.bfloat16
    with torch.device(device):
        network = Qwen2ForCausalLM._from_config(config, dtype=kind).eval()
    rng = random.Random(0)
    prompts = [rng.choices(range(1000), k=prompt) for _ in range(replies)]
    seconds = []
    for longest in (1, steps):
        decoder = Decoder(network, ends=[], longest=longest)
        sampling = SeededSampling(range(replies), temperature=0.8, top_k=50, top_p=0.9)
        began = time.perf_counter()
        decoder.decode(prompts, sampling, None)
        seconds.append(time.perf_counter() - began)
    step = (seconds[1] - seconds[0]) / (steps - 1)
    weights = sum(each.numel() for each in network.parameters())
    weights -= network.get_input_embeddings().weight.numel()
    channels = config.hidden_size // config.num_attention_heads
    cached = 2 * config.num_hidden_layers * config.num_key_value_heads * channels
    needed = 2 * (weights + replies * (prompt + steps / 2) * cached)
    block = torch.empty(min(2**30, weights), dtype=torch.uint8, device=device)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        block.clone().flatten()[-1].item()
        times.append(time.perf_counter() - began)
    bandwidth = 2 * block.numel() / min(times)
    return {
        "replies": replies,
        "prompt_tokens": prompt,
        "seconds_reading_prompts": seconds[0],
        "seconds_a_step": step,
        "tokens_per_second": replies / step,
        "bandwidth_bytes_per_second": bandwidth,
        "share_of_bandwidth_limit": needed / bandwidth / step,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpu", action="store_true", help="measure a 7B configuration as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"rounds": options.rounds, "sides": measured(options.rounds)}
    print(
        f"{'':<20}{'tokens/s':>9}{'ratio':>7}{'deltas/s':>9}{'ratio':>7}{'drawn':>7}{'lock':>7}{'masks':>7}"
    )
    for name, side in figures["sides"].items():
        print(
            f"{name:<20}{side['tokens_per_cpu_second']:>9.0f}{side['tokens_ratio']:>7.1f}"
            f"{side['deltas_per_cpu_second']:>9.2f}{side['deltas_ratio']:>7.1f}"
            f"{side['sampled_share']:>7.0%}{side['constraint_share']:>7.1%}"
            f"{side['masks_share']:>7.1%}"
        )
    if options.gpu and torch.cuda.is_available():
        figures["qwen_7b"] = seven_b(QWEN_7B, "cuda")
        print({key: round(value, 4) for key, value in figures["qwen_7b"].items()})
    elif options.gpu:
        print("no CUDA device: the 7B configuration was not measured")
    print(write("generation", figures))


if __name__ == "__main__":
    main()
