"""An adapter tuned for each objective: it learns, repeatably, and what is worse is undone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from deltanas.tune.lora import LoraTuner
from deltanas.tune.objectives.base import Objective
from deltanas.tune.objectives.dpo import Dpo
from deltanas.tune.objectives.grpo import Grpo
from deltanas.tune.objectives.kto import Kto
from deltanas.tune.objectives.sft import Sft
from deltanas.tune.packing import Piece
from deltanas.tune.pieces import scored
from deltanas.tune.rendering import render_example
from deltanas.tune.scoring import known
from deltanas.tune.tuner import Answer, Guard, Lesson, TuneResult
from tests.tune.pairs import PAPER, make_lesson

COMPARING = [
    pytest.param(Dpo(beta=0.1, margin=0.1), id="dpo"),
    pytest.param(Grpo(beta=0.1, margin=0.1), id="grpo"),
    pytest.param(Kto(beta=0.1, margin=0.1), id="kto"),
]
ALL = [pytest.param(Sft(), id="sft"), *COMPARING]


def say(number: int, text: str, reward: float) -> Answer:
    return Answer(text=f"@@\n-x = {number}\n+{text}\n", reward=reward)


def siblings(number: int) -> Lesson:
    """Return a prompt with one good answer and two bad ones, of which one was cut."""
    cut = replace(say(number, "z = 3", 0.1), finished=False)
    answers = (say(number, "y = 2", 0.9), say(number, "w = 1", 0.2), cut)
    return Lesson(name=f"s{number}", prompt=f"delta\nx = {number}\n", answers=answers)


def tuned(
    llm: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    objective: Objective,
    directory: Path,
    lessons: list[Lesson],
    guard: Guard | None = None,
    *,
    epochs: int = 1,
) -> tuple[LoraTuner, TuneResult]:
    settings = replace(PAPER, r=4, alpha=8, lr=0.01, epochs=epochs, batch=2, accumulate=2)
    tuner = LoraTuner(llm, tokenizer, settings, objective, max_tokens=200, seed=0)
    held_out = [make_lesson(7)]
    return tuner, tuner.learn(lessons, held_out, seed=1, directory=directory, guard=guard)


def log_probability(llm: LlamaForCausalLM, tokens: list[int], start: int) -> float:
    (values,) = known(llm, [Piece(((tokens, start),), (1.0,))], batch=1, max_tokens=200)
    return values.sum().item()


@pytest.mark.parametrize("objective", ALL)
def test_the_better_answer_gains_on_the_worse(
    objective: Objective,
    llm: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    lessons = [siblings(number) for number in range(2)]

    def lead() -> list[float]:
        rendered = [
            [render_example(tokenizer, one.prompt, answer.text) for answer in one.answers[:2]]
            for one in lessons
        ]
        return [log_probability(llm, *a) - log_probability(llm, *b) for a, b in rendered]

    before = lead()
    _, result = tuned(llm, tokenizer, objective, tmp_path / "a", lessons, epochs=4)
    assert result.steps > 0
    assert all(after > earlier + 0.1 for after, earlier in zip(lead(), before, strict=True))


@pytest.mark.parametrize("objective", COMPARING)
def test_the_same_seed_gives_the_same_adapter(
    objective: Objective,
    llm: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    weights = {name: one.clone() for name, one in llm.state_dict().items()}
    for name in ("a", "b"):
        copy = LlamaForCausalLM(llm.config).eval()
        copy.load_state_dict(weights)
        tuned(copy, tokenizer, objective, tmp_path / name, [siblings(1), siblings(2)])
    files = [tmp_path / name / "adapter_model.safetensors" for name in ("a", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("objective", COMPARING)
def test_the_reference_is_the_llm_without_its_adapter(
    objective: Objective,
    llm: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    tokens, start = render_example(tokenizer, "ask", "say")
    frozen = log_probability(llm, tokens, start)
    tuner, _ = tuned(llm, tokenizer, objective, tmp_path / "a", [siblings(1), siblings(2)])
    now = log_probability(llm, tokens, start)
    assert now != pytest.approx(frozen, abs=1e-3)
    pieces = [Piece(((tokens, start),), (1.0,))]
    (piece,) = scored(llm, tuner.adapted, pieces, objective, batch=1, max_tokens=200)
    assert piece.reference.sum().item() == pytest.approx(frozen, abs=1e-5)
    if objective.clips:
        assert piece.before.sum().item() == pytest.approx(now, abs=1e-5)
    assert [weight.requires_grad for weight in llm.parameters()].count(True) == 28


@pytest.mark.parametrize("objective", ALL)
def test_dropout_blurs_no_comparison(
    objective: Objective, llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    tuner = LoraTuner(llm, tokenizer, PAPER, objective, max_tokens=200, seed=0)
    expected = 0.0 if objective.compares else PAPER.dropout
    assert tuner.adapted.peft_config["default"].lora_dropout == expected


class Counted:
    """A guard whose figures are known, and how often it was asked."""

    def __init__(self, *figures: int) -> None:
        self.figures, self.judged = list(figures), []  # type: list[int], list[tuple[int, int]]

    def count(self) -> int:
        return self.figures.pop(0)

    def worse(self, before: int, after: int) -> bool:
        self.judged.append((before, after))
        return after < before


@pytest.mark.parametrize("objective", ALL)
@pytest.mark.parametrize(("after", "kept"), [(5, True), (4, False)])
def test_a_guard_undoes_what_it_calls_worse(
    objective: Objective,
    after: int,
    kept: bool,
    llm: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    tokens, start = render_example(tokenizer, "ask", "say")
    frozen = log_probability(llm, tokens, start)
    guard, lessons = Counted(5, after), [siblings(7), siblings(8)]
    _, result = tuned(llm, tokenizer, objective, tmp_path / "a", lessons, guard)
    assert result.kept is kept
    assert guard.judged == [(5, after)]
    assert (log_probability(llm, tokens, start) == frozen) is not kept


def test_lessons_that_say_nothing_leave_the_adapter(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tie = replace(siblings(1), answers=(say(1, "y = 2", 0.5), say(1, "w = 1", 0.5)))
    _, result = tuned(llm, tokenizer, Grpo(beta=0.1, margin=0.1), tmp_path / "a", [tie])
    assert (result.steps, result.tokens, result.loss_after) == (0, 0, result.loss_before)


def test_an_answer_that_was_cut_is_not_taught_to_end_there(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    whole, start = render_example(tokenizer, "ask", "say")
    assert render_example(tokenizer, "ask", "say", finished=False) == (whole[:-1], start)
