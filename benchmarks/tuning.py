"""How many tokens a second LoRA trains on: packed rows against padded batches in random order.

    python benchmarks/tuning.py [--rounds 5] [--pairs 24] [--gpu]

The embedded LLM takes the optimizer steps of protocol=quick on pairs made from the built-in
archive by random edits, in turns with either way, on one thread. Prints medians for 1, 2 and 4
pairs a prompt, as seconds of CPU time: on a quiet machine those are seconds. `padded` is what
this program did before it packed, with logits from the earliest answer of a batch on; `naive`
computes them for every token.

`--gpu` trains an LLM of Qwen2.5-Coder-7B's exact sizes with random weights, in bfloat16 and in
nf4 where bitsandbytes is installed, and prints the share of the GPU's operations that the model
needs (recomputed activations count as nothing), and the peak of memory. It writes 15 GB of
weights to a temporary folder.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from results import write
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.cli.environment import ensure
from deltanas.config.schema import Config
from deltanas.llm.loading import load_network, load_tokenizer
from deltanas.propose.prompt import render_answer, render_prompt
from deltanas.propose.random_edit import random_edit
from deltanas.search.parts import lora_settings
from deltanas.tune.lora import LoraTuner
from deltanas.tune.objectives.sft import Sft
from deltanas.tune.packing import Example, Piece, packed_attention
from deltanas.tune.rendering import render_example
from deltanas.tune.scoring import answer_loss
from deltanas.tune.steps import Steps
from deltanas.tune.training import fit

TEMPLATE = "delta\n$architecture"  # conf/llm/tiny.yaml
CONTEXT = 1200
PAPER = lora_settings(Config())
QUICK = replace(PAPER, r=8, alpha=16, lr=3e-4, epochs=1, batch=4, accumulate=1)
QWEN: dict[str, Any] = {  # config.json of Qwen/Qwen2.5-Coder-7B-Instruct
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
}
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
# dense bfloat16 operations a second, from NVIDIA's data sheets


def edited_pairs(count: int, siblings: int) -> list[Example]:
    """Return pairs of the built-in archive, `siblings` of a baseline, that fit the context."""
    tokenizer, rng = load_tokenizer("embedded"), random.Random(0)
    baselines = BuiltinArchive().baselines(dataset="digits", max_image_size=64, max_lines=400)
    rng.shuffle(baselines)
    found: list[Example] = []
    for baseline in baselines:
        prompt = render_prompt(TEMPLATE, baseline, "digits")
        own: list[Example] = []
        while len(own) < siblings:
            code = random_edit(baseline.code, rng)
            if answer := render_answer(TEMPLATE, baseline, code, whole=False):
                own.append(render_example(tokenizer, prompt, answer))
        if max(len(tokens) for tokens, _ in own) <= CONTEXT:
            found += own
    if len(found) < count:
        raise SystemExit(f"the archive gives {len(found)} pairs; --pairs must be at most that")
    return found[:count]


def padded_loss(llm: Any, examples: Sequence[Example], *, all_logits: bool) -> Tensor:
    """Return the mean loss of a batch padded on the right, where causal attention hides it."""
    length = max(len(tokens) for tokens, _ in examples)
    first = 1 if all_logits else min(start for _, start in examples)
    inputs = torch.zeros(len(examples), length, dtype=torch.int64)
    targets = torch.full((len(examples), length), -100)
    for row, (tokens, start) in enumerate(examples):
        inputs[row, : len(tokens)] = torch.tensor(tokens)
        targets[row, start : len(tokens)] = torch.tensor(tokens[start:])
    kept = length - first + 1
    logits = llm(input_ids=inputs, use_cache=False, logits_to_keep=kept).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), targets[:, first:].flatten())


def alone(examples: Sequence[Example]) -> list[Piece]:
    return [Piece((example,), (1.0,)) for example in examples]


def in_batches(examples: list[Example]) -> list[list[Example]]:
    order = random.Random(0).sample(examples, len(examples))
    return [order[i : i + QUICK.batch] for i in range(0, len(order), QUICK.batch)]


def padding(examples: list[Example]) -> float:
    """Return the share of padding in padded batches: all that can be saved if no two share."""
    places = sum(len(b) * max(len(tokens) for tokens, _ in b) for b in in_batches(examples))
    return 1 - sum(len(tokens) for tokens, _ in examples) / places


def padded_steps(examples: list[Example], *, all_logits: bool) -> Callable[[Any], list[Any]]:
    def losses(llm: Any) -> list[Any]:
        batches = in_batches(examples)
        return [lambda b=b: padded_loss(llm, b, all_logits=all_logits) for b in batches]

    return losses


def packed_steps(examples: list[Example]) -> Callable[[Any], list[Any]]:
    def losses(llm: Any) -> list[Any]:
        sizes = {"batch": QUICK.batch, "accumulate": QUICK.accumulate, "max_tokens": CONTEXT}
        steps = Steps(alone(examples), Sft(), **sizes, seed=0)
        rows = [row.packed for step in steps for row in step.rows]
        return [lambda row=row: answer_loss(llm, row) / len(row.targets) for row in rows]

    return losses


def cpu_seconds(llm: Any, losses: list[Any]) -> float:
    """Return the CPU time of one optimizer step for every loss."""
    weights = [weight for weight in llm.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=QUICK.lr)
    llm.train()
    began = time.process_time()
    for loss in losses:
        loss().backward()
        torch.nn.utils.clip_grad_norm_(weights, QUICK.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - began


def embedded(pairs: int, rounds: int) -> list[dict[str, Any]]:
    """Measure the embedded LLM; one row for each number of pairs a prompt."""
    torch.set_num_threads(1)
    llm = load_network("embedded", dtype="float32", device="cpu", quantization="none")
    LoraTuner(llm, load_tokenizer("embedded"), QUICK, Sft(), max_tokens=CONTEXT, seed=0)
    rows = []
    for siblings in (1, 2, 4):
        examples = edited_pairs(pairs, siblings)
        ways = {
            "naive": padded_steps(examples, all_logits=True),
            "padded": padded_steps(examples, all_logits=False),
            "packed": packed_steps(examples),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, losses in ways.items():
                if name == "packed":
                    with packed_attention(llm):
                        seconds = cpu_seconds(llm, losses(llm))
                else:
                    seconds = cpu_seconds(llm, losses(llm))
                if turn:  # the first warms up
                    times[name].append(seconds)
        tokens = sum(len(each) for each, _ in examples)
        speeds = {name: tokens / statistics.median(each) for name, each in times.items()}
        ratios = [a / b for a, b in zip(times["padded"], times["packed"], strict=True)]
        rows.append(
            {
                "pairs_a_prompt": siblings,
                "tokens": tokens,
                "padding": round(padding(examples), 3),
                "answer_tokens": sum(len(each) - start for each, start in examples),
                "tokens_a_second": {name: round(speed, 1) for name, speed in speeds.items()},
                "packed_over_padded": round(statistics.median(ratios), 3),
                "lowest_and_highest": [round(min(ratios), 3), round(max(ratios), 3)],
            }
        )
        print(
            f"{siblings:>14}"
            + "".join(f"{speed:>10,.0f}" for speed in speeds.values())
            + f"{rows[-1]['packed_over_padded']:>10.2f}",
            flush=True,
        )
    return rows


def operations(examples: Sequence[Example], network: Any) -> float:
    """Return what LoRA on these examples needs, each alone: Kaplan et al., arXiv 2001.08361.

    Two operations a weight and token forward, two for the gradient of its input, and two for its
    own gradient where it is trained; of the output layer for answers only; attention, causal,
    2 T^2 a layer and unit forward and twice that backward.
    """
    head = QWEN["vocab_size"] * QWEN["hidden_size"]
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    layer = 2 * QWEN["hidden_size"] ** 2 + 3 * QWEN["hidden_size"] * QWEN["intermediate_size"]
    layer += 2 * QWEN["hidden_size"] * 128 * QWEN["num_key_value_heads"]
    frozen = QWEN["num_hidden_layers"] * layer
    width = QWEN["num_hidden_layers"] * QWEN["hidden_size"]
    total = 0.0
    for tokens, start in examples:
        length = len(tokens)
        total += (4 * frozen + 6 * trained) * length + 4 * head * (length - start)
        total += 6 * width * length**2
    return total


def on_gpu(folder: Path, quantization: str) -> dict[str, Any]:
    """Train the 7B sizes on pairs of 1,200 to 4,000 tokens, no two of one prompt."""
    rng = random.Random(0)
    examples: list[Example] = []
    for _ in range(16):
        tokens = rng.choices(range(QWEN["vocab_size"]), k=rng.randint(1200, 4000))
        examples.append((tokens, len(tokens) - rng.randint(100, 500)))
    llm = load_network(str(folder), dtype="bfloat16", device="cuda", quantization=quantization)
    settings = replace(PAPER, epochs=1)
    tuner = LoraTuner(
        llm,
        load_tokenizer("embedded"),
        settings,
        Sft(),
        max_tokens=4096,
        seed=0,
        gradient_checkpointing=True,
    )
    pieces = alone(examples)
    with tuner._checkpointing():
        fit(llm, pieces[:8], settings, Sft(), max_tokens=4096, seed=0)  # warms up
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        fit(llm, pieces, settings, Sft(), max_tokens=4096, seed=0)
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    card = torch.cuda.get_device_name()
    peak = next((flops for name, flops in PEAK.items() if name in card), None)
    needed = operations(examples, llm)
    found = {
        "quantization": quantization,
        "card": card,
        "tokens_a_second": round(sum(len(tokens) for tokens, _ in examples) / seconds, 1),
        "utilisation": None if peak is None else round(needed / seconds / peak, 4),
        "peak_memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
    }
    print(found, flush=True)
    return found


def gpu() -> list[dict[str, Any]]:
    """Measure on the GPU what it can run; nothing where there is none."""
    if not torch.cuda.is_available():
        print("no CUDA device: the 7B sizes are not measured")
        return []
    from transformers import Qwen2Config, Qwen2ForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        with torch.device("cuda"):
            torch.set_default_dtype(torch.bfloat16)
            Qwen2ForCausalLM(Qwen2Config(**QWEN)).save_pretrained(folder)
            torch.set_default_dtype(torch.float32)
        torch.cuda.empty_cache()
        rows = [on_gpu(Path(folder), "none")]
        torch.cuda.empty_cache()
        if find_spec("bitsandbytes") is None:
            print("no bitsandbytes: nf4 is not measured")
            return rows
        return [*rows, on_gpu(Path(folder), "nf4")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--gpu", action="store_true", help="measure the 7B sizes too")
    asked = parser.parse_args()
    ensure()
    print(
        f"{'pairs a prompt':>14}{'naive':>10}{'padded':>10}{'packed':>10}{'ratio':>10}   tokens/s"
    )
    figures: dict[str, Any] = {
        "pairs": asked.pairs,
        "rounds": asked.rounds,
        "embedded": embedded(asked.pairs, asked.rounds),
    }
    if asked.gpu:
        figures["qwen_7b"] = gpu()
    print(write("tuning", figures))


if __name__ == "__main__":
    main()
