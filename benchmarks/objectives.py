"""What a tuning step costs for each objective, relative to imitation on the same answers.

    python benchmarks/objectives.py [--rounds 5] [--prompts 6] [--siblings 4]

The embedded LLM takes the optimizer steps of protocol=quick on random edits of built-in
networks, siblings of which share a prompt, with rewards drawn at random. `sft` imitates every
answer, so that all see the same tokens. The objectives take turns, on one thread; medians of CPU
time, which on a quiet machine are seconds. `look` is what one look at the reference before a
tuning costs, `step` what the steps cost, both as multiples of sft's steps.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import Any

import torch
from results import write

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.cli.environment import ensure
from deltanas.config.choices import Objective
from deltanas.config.schema import Config
from deltanas.llm.loading import load_network, load_tokenizer
from deltanas.propose.prompt import render_answer, render_prompt
from deltanas.propose.random_edit import random_edit
from deltanas.search.parts import lora_settings, open_objective
from deltanas.tune.lora import LoraTuner
from deltanas.tune.packing import Piece
from deltanas.tune.pieces import pieces_of, scored
from deltanas.tune.rendering import render_example
from deltanas.tune.training import fit
from deltanas.tune.tuner import Answer, Lesson

TEMPLATE = "delta\n$architecture"  # conf/llm/tiny.yaml
CONTEXT = 1200


def lessons(prompts: int, siblings: int, tuner: LoraTuner) -> list[Lesson]:
    """Return random edits of built-in networks with random rewards, half of them failures."""
    rng = random.Random(0)
    baselines = BuiltinArchive().baselines(dataset="digits", max_image_size=64, max_lines=400)
    rng.shuffle(baselines)
    found: list[Lesson] = []
    for baseline in baselines:
        answers: dict[str, float] = {}
        while len(answers) < siblings:
            code = random_edit(baseline.code, rng)
            if text := render_answer(TEMPLATE, baseline, code, whole=False):
                answers[text] = 0.0 if len(answers) % 2 else rng.uniform(0.65, 1.0)
        lesson = Lesson(
            name=baseline.baseline_id,
            prompt=render_prompt(TEMPLATE, baseline, "digits"),
            answers=tuple(Answer(text=text, reward=value) for text, value in answers.items()),
        )
        found += [lesson] if tuner.fits(lesson) else []
    return found[:prompts]


def measured(objective: Objective, prompts: int, siblings: int) -> tuple[float, float, int]:
    """Return the CPU time of the looks and of the steps, and the answers' tokens, prompts too."""
    config = Config()
    config.tune.objective = objective
    config.lora.r, config.lora.alpha, config.lora.lr = 8, 16, 3e-4  # conf/protocol/quick.yaml
    config.lora.epochs, config.lora.batch, config.lora.accumulate = 1, 4, 1
    goal, settings = open_objective(config), lora_settings(config)
    llm = load_network("embedded", dtype="float32", device="cpu", quantization="none")
    tokenizer: Any = load_tokenizer("embedded")
    tuner = LoraTuner(llm, tokenizer, settings, goal, max_tokens=CONTEXT, seed=0)
    taught = lessons(prompts, siblings, tuner)

    def rendered(one: Any) -> list[Any]:
        return [render_example(tokenizer, one.prompt, answer.text) for answer in one.answers]

    pieces = pieces_of(taught, goal, rendered)
    if objective is Objective.sft:
        pieces = [Piece((each,), (1.0,)) for lesson in taught for each in rendered(lesson)]
    began = time.process_time()
    if goal.compares:
        pieces = scored(llm, tuner.adapted, pieces, goal, batch=4, max_tokens=CONTEXT)
    looked = time.process_time()
    fit(llm, pieces, tuner.settings, goal, max_tokens=CONTEXT, seed=0)
    tokens = sum(len(ids) for piece in pieces for ids, _ in piece.examples)
    return looked - began, time.process_time() - looked, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--siblings", type=int, default=4)
    asked = parser.parse_args()
    ensure()
    torch.set_num_threads(1)
    looks: dict[str, list[float]] = {name: [] for name in Objective}
    steps: dict[str, list[float]] = {name: [] for name in Objective}
    tokens: dict[str, int] = {}
    for turn in range(asked.rounds + 1):
        for name in Objective:
            look, step, tokens[name] = measured(name, asked.prompts, asked.siblings)
            if turn:  # the first warms up
                looks[name].append(look)
                steps[name].append(step)
    base = statistics.median(steps[Objective.sft])
    print(f"{'':>6}{'tokens':>8}{'seconds':>9}{'step':>7}{'look':>7}")
    figures: dict[str, Any] = {"prompts": asked.prompts, "siblings": asked.siblings}
    for name in Objective:
        step, look = statistics.median(steps[name]), statistics.median(looks[name])
        figures[name.value] = {
            "tokens": tokens[name],
            "seconds": round(step, 3),
            "step": round(step / base, 3),
            "look": round(look / base, 3),
        }
        print(
            f"{name.value:>6}{tokens[name]:>8}{step:>9.2f}{step / base:>7.2f}{look / base:>7.2f}"
        )
    print(write("objectives", figures))


if __name__ == "__main__":
    main()
