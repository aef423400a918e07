"""Losses and gradients are TRL's on the same batch, and what says nothing counts nowhere."""

from __future__ import annotations

import json

import pytest
from torch import Tensor
from transformers import LlamaForCausalLM

from deltanas.tune.objectives.base import Objective, Unit
from deltanas.tune.objectives.dpo import Dpo
from deltanas.tune.objectives.grpo import Grpo
from deltanas.tune.objectives.kto import Kto
from deltanas.tune.objectives.sft import Sft
from deltanas.tune.packing import Example, Piece, packed_attention
from deltanas.tune.pieces import pieces_of, scored
from deltanas.tune.steps import Steps
from deltanas.tune.training import LoraModule
from deltanas.tune.tuner import Answer, Lesson
from tests.tune.pairs import PAPER
from tests.tune.trl_figures import BETA, FIGURES, GROUPS, TIED, ids, toy

COMPARING = [
    pytest.param(Dpo(beta=BETA, margin=0.0), id="dpo"),
    pytest.param(Grpo(beta=BETA, margin=0.0), id="grpo"),
    pytest.param(Kto(beta=BETA, margin=0.0), id="kto"),
]


def lesson(prompt: str, answers: dict[str, float], *, real: bool = False) -> Lesson:
    said = tuple(Answer(text=text, reward=reward) for text, reward in answers.items())
    return Lesson(name=prompt, prompt=prompt, answers=said, real=real)


def rendered(unit: Unit) -> list[Example]:
    prompt = ids(unit.prompt)
    return [(prompt + ids(answer.text), len(prompt)) for answer in unit.answers]


class Toys:
    """Stands where an adapter does: without it the LLM is the toy that the others came from."""

    def __init__(self, llm: LlamaForCausalLM) -> None:
        self.llm = llm

    def disable_adapter(self) -> Toys:
        return self

    def __enter__(self) -> None:
        self.weights = {name: one.clone() for name, one in self.llm.state_dict().items()}
        self.llm.load_state_dict(toy(0.0).state_dict())

    def __exit__(self, *_: object) -> None:
        self.llm.load_state_dict(self.weights)


def looked_at(lessons: list[Lesson], objective: Objective) -> tuple[LlamaForCausalLM, list[Piece]]:
    """Return an LLM in the middle of its training, and pieces scored as that began."""
    llm = toy(0.5)
    pieces = scored(
        llm,
        Toys(llm),  # type: ignore[arg-type]
        pieces_of(lessons, objective, rendered),
        objective,
        batch=6,
        max_tokens=64,
    )
    llm.load_state_dict(toy(1.0).state_dict())
    return llm, pieces


def stepped(
    llm: LlamaForCausalLM, pieces: list[Piece], objective: Objective, *, batch: int = 6
) -> tuple[Tensor, Tensor]:
    """Return the loss of all pieces in one step, and the norm of the embeddings' gradient."""
    sizes = {"batch": batch, "accumulate": -(-len(pieces) // batch), "max_tokens": 20}
    (step,) = Steps(pieces, objective, **sizes, seed=0)
    llm.zero_grad()
    with packed_attention(llm):
        loss = sum(LoraModule(llm, PAPER, objective).losses(step))
    loss.backward()
    return loss.detach(), llm.get_input_embeddings().weight.grad.norm()


BATCH = [lesson(*group) for group in GROUPS]


@pytest.mark.parametrize("objective", COMPARING)
@pytest.mark.parametrize("batch", [6, 1])
def test_loss_and_gradient_are_those_of_trl(objective: Objective, batch: int) -> None:
    recorded = json.loads(FIGURES.read_text())[type(objective).__name__.lower()]
    loss, gradient = stepped(*looked_at(BATCH, objective), objective, batch=batch)
    assert loss.item() == pytest.approx(recorded["loss"], rel=1e-4)
    assert gradient.item() == pytest.approx(recorded["gradient"], rel=1e-4)


@pytest.mark.parametrize("objective", COMPARING[:2])
def test_siblings_that_tie_enter_no_denominator(objective: Objective) -> None:
    tied = [*BATCH, lesson(*TIED)]
    assert stepped(*looked_at(tied, objective), objective) == stepped(
        *looked_at(BATCH, objective), objective
    )


@pytest.mark.parametrize("objective", COMPARING)
def test_what_says_nothing_teaches_nothing(objective: Objective) -> None:
    nothing = [lesson(*TIED), lesson("1 2", {"3 4": 0.5})]
    assert pieces_of(nothing, objective, rendered) == []
    assert pieces_of([], objective, rendered) == []


@pytest.mark.parametrize("kind", [Dpo, Grpo])
def test_rewards_within_the_margin_tie(kind: type[Dpo] | type[Grpo]) -> None:
    close = [lesson("7 8", {"20": 0.50, "21": 0.59})]
    assert pieces_of(close, kind(beta=0.1, margin=0.1), rendered) == []
    assert pieces_of(close, kind(beta=0.1, margin=0.05), rendered) != []


def test_pairs_are_the_best_with_the_worst() -> None:
    four = lesson("7", {"20": 0.3, "21": 0.9, "22": 0.0, "23": 0.6})
    units = Dpo(beta=0.1, margin=0.1).units([four])
    assert [[answer.text for answer in unit.answers] for unit in units] == [
        ["21", "22"],
        ["23", "20"],
    ]


def test_good_and_bad_weigh_the_same_and_par_is_no_judgement() -> None:
    given = lesson("7", {"20": 0.9, "21": 0.0, "22": 0.2, "23": 0.55, "24": 0.45, "25": 0.1})
    units = Kto(beta=0.1, margin=0.1).units([given])
    weights = {unit.answers[0].text: unit.weights[0] for unit in units}
    assert weights == {"20": 1.0, "21": -1 / 3, "22": -1 / 3, "25": -1 / 3}


def test_imitation_takes_the_best_answer_of_a_lesson() -> None:
    assert [unit.answers[0].text for unit in Sft().units(BATCH)] == ["20 21 22", "32 33 34 35"]


@pytest.mark.parametrize("objective", COMPARING)
def test_real_answers_weigh_by_their_share_of_the_answers(objective: Objective) -> None:
    real = [lesson("50 51", {"52 53 54": 0.0}, real=True), lesson("55", {"56": 0.0}, real=True)]
    llm, pieces = looked_at([*BATCH, *real], objective)
    assert [piece.real for piece in pieces[-2:]] == [True, True]
    mixed, _ = stepped(llm, pieces, objective)
    own, _ = stepped(llm, pieces[:-2], objective)
    imitated, _ = stepped(llm, pieces_of(real, Sft(), rendered), Sft())
    answers = sum(len(piece.examples) for piece in pieces[:-2])
    expected = (own * answers + imitated * 2) / (answers + 2)
    assert mixed.item() == pytest.approx(expected.item(), rel=1e-5)


def test_drift_is_measured_on_answers_to_other_prompts() -> None:
    objective = Kto(beta=BETA, margin=0.0)
    llm, pieces = looked_at(BATCH, objective)
    (first, _), (second, _) = GROUPS
    for piece in pieces:
        (tokens, start), (apart, begin) = piece.examples[0], piece.apart
        assert apart[begin:] == tokens[start:]
        assert {tuple(tokens[:start]), tuple(apart[:begin])} == {
            tuple(ids(first)),
            tuple(ids(second)),
        }
    alone = [lesson(*GROUPS[0])]
    assert [piece.apart for piece in looked_at(alone, objective)[1]] == [None, None, None]
    assert stepped(*looked_at(alone, objective), objective)[0].isfinite()
