"""How near the bandwidth of a GPU's memory the loop of this project comes with a 7B LLM.

    python benchmarks/generation_gpu.py

The exact configuration of Qwen2.5-Coder-7B with random weights, at batch 50, without a grammar.
Prints seconds a step, tokens a second and the share of what the bandwidth allows.
"""

from __future__ import annotations

import argparse
import random
import time

import torch
from results import write
from transformers import Qwen2Config, Qwen2ForCausalLM

from deltanas.llm.decoding import Decoder
from deltanas.llm.sampling import SeededSampling

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


def seven_b(
    config: Qwen2Config, device: str, *, replies: int = 50, prompt: int = 1500, steps: int = 128
) -> dict[str, float]:
    """Return seconds a step and its share of the bandwidth limit: distinct prompts, random LLM.

    A step must read all weights but the input embedding, and the keys and values of every reply.
    """
    kind = torch.bfloat16
    with torch.device(device):
        network = Qwen2ForCausalLM._from_config(config, dtype=kind)  # type: ignore[no-untyped-call]
        network.eval()
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
    heads = config.num_key_value_heads or config.num_attention_heads
    cached = 2 * config.num_hidden_layers * heads * channels
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
    argparse.ArgumentParser(description=__doc__).parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device: the 7B configuration was not measured")
    figures = seven_b(QWEN_7B, "cuda")
    print({key: round(value, 4) for key, value in figures.items()})
    print(write("generation_gpu", figures))


if __name__ == "__main__":
    main()
