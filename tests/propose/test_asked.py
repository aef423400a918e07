"""What an LLM is shown besides the baseline: earlier deltas, or the one that it is to mend."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from deltanas.propose.examples import choose_examples
from deltanas.propose.prompt import REPAIR, check_template, render_prompt
from deltanas.propose.proposer import LLMProposer
from deltanas.records import Attempt, Drawn, Reply, Request, Slot, Verdict
from tests.fakes import baseline
from tests.test_conf import composed

MakeAttempt = Callable[..., Attempt]
OWN = baseline("own", 30, "family")
TEMPLATE = "Edit.\n$examples\nIt:\n$code"
MEND = "Mend $delta as $reason. $advice\n$architecture"


class FakeLLM:
    """Answers everything alike, has room for so many words, and keeps what it was asked."""

    def __init__(self, room: int = 10**6) -> None:
        self.room = room
        self.prompts: list[str] = []
        self.grammars: list[str] = []

    def describe(self) -> dict[str, Any]:
        return {}

    def tuner(self, make: Callable[[Any, Any], Any]) -> None:
        return None

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def fits(self, prompt: str) -> bool:
        return self.count_tokens(prompt) <= self.room

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        grammars: Sequence[str] | None = None,
        on_reply: Callable[[], None] = lambda: None,
        drawn: Sequence[Drawn] | None = None,
    ) -> list[Reply]:
        self.prompts += prompts
        self.grammars += grammars or []
        return [
            Reply(text="", prompt_tokens=1, output_tokens=1, seconds=0.0, finished=True)
            for _ in prompts
        ]


def request(known: Sequence[Attempt] = (), *, seed: int = 0, failed: Any = ()) -> Request:
    slot = Slot(cycle=1, number=0, dataset="digits", baseline=replace(OWN, proxy_accuracy=0.5))
    return Request(slot=slot, seed=seed, known=tuple(known), failed=failed)


def asked(one: Request, llm: FakeLLM | None = None, **options: Any) -> str:
    """Return the prompt of one request."""
    llm = llm or FakeLLM()
    fields = {"template": TEMPLATE, "repair_template": MEND, "locked": False} | options
    (made,) = LLMProposer(llm, **fields).propose([one])
    assert [made.prompt] == llm.prompts
    assert made.writer == "llm"
    return made.prompt


@pytest.fixture
def rows(make_attempt: MakeAttempt) -> list[Attempt]:
    """Return twelve rows: of each parent two gained, one lost, and one failed."""
    fates: list[dict[str, Any]] = [
        {"gain": 0.125, "first_epoch_accuracy": 0.987, "proxy_accuracy": 0.625},
        {"gain": 0.25},
        {"gain": -0.5},
        {"gain": None, "verdict": Verdict.SHAPE, "proxy_accuracy": None, "reason": "at 0x7f3a"},
    ]
    return [
        make_attempt(slot=n, parent_id=parent, family=family, delta=f"@@\n+{parent} {n}\n", **fate)
        for parent, family in (("far", "other"), ("near", "family"), ("own", "family"))
        for n, fate in enumerate(fates)
    ]


def test_without_examples_the_prompt_is_what_it_was_to_the_byte() -> None:
    prompt = render_prompt(composed("llm=qwen").llm.prompt, OWN, "digits")
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    assert digest == "3331a1d568a3ab30b02f6221aa4724cf879f4efa51e6b7f0dee028ba77aaae9d"
    assert asked(request()) == asked(request(), examples=4) == f"Edit.\n\nIt:\n{OWN.code}"


def test_examples_are_balanced_and_those_of_the_parent_and_its_family_come_first(
    rows: list[Attempt],
) -> None:
    chosen = choose_examples(request(rows), 4)
    assert {row.parent_id for row in chosen} == {"own"}
    assert [row.gain is not None and row.gain > 0 for row in chosen] == [True, False, True, False]
    more = choose_examples(request(rows), 8)
    assert more[:4] == chosen
    assert {row.parent_id for row in more[4:]} == {"near"}
    seeded = {tuple(r.delta for r in choose_examples(request(rows, seed=n), 2)) for n in range(20)}
    assert len(seeded) == 4
    gained = [row for row in rows if row.gain and row.gain > 0]
    assert len(choose_examples(request(gained), 4)) == 4  # where none failed
    assert choose_examples(request(rows), 0) == []
    doubtful = [replace(row, gain=None) for row in gained]
    assert choose_examples(request(doubtful), 4) == []  # what came of them is not known


def test_what_teaches_nothing_is_no_example(rows: list[Attempt]) -> None:
    for change in (
        {"dataset": "mnist"},
        {"delta": ""},
        {"degenerate": True},
        {"verdict": Verdict.INFRASTRUCTURE},
    ):
        assert choose_examples(request([replace(row, **change) for row in rows]), 4) == []
    assert len(choose_examples(request([*rows, *rows]), 30)) == 12  # none twice


def test_examples_tell_gains_and_reasons_and_no_test_accuracy(rows: list[Attempt]) -> None:
    prompt = asked(request(rows[8:]), examples=4)
    assert prompt.startswith("Edit.\n\nThis change of own gained ")
    assert "\n\nThis change of own gained 12.5 points:\n@@\n+own 0\n\n" in prompt
    assert "\n\nThis change of own lost 50.0 points:\n@@\n+own 2\n\n" in prompt
    assert "\n\nThis change of own failed (shape: at 0x...):\n@@\n+own 3\n\n" in prompt
    assert prompt.endswith(f"\n\nIt:\n{OWN.code}")
    assert "98.7" not in prompt


def test_examples_are_dropped_until_the_prompt_fits(rows: list[Attempt]) -> None:
    whole, bare = asked(request(rows), examples=4), asked(request(rows))
    words = [len(prompt.split()) for prompt in (bare, whole)]
    counts = {
        asked(request(rows), FakeLLM(room), examples=4).count("This change")
        for room in range(words[0], words[1] + 1)
    }
    assert counts == {0, 1, 2, 3, 4}
    assert asked(request(rows), FakeLLM(words[0]), examples=4) == bare


def test_a_repair_is_shown_what_failed_and_why(make_attempt: MakeAttempt) -> None:
    failed = make_attempt(verdict=Verdict.SHAPE, delta="@@\n-a\n", reason="object at 0x7f3a $code")
    llm = FakeLLM()
    prompt = asked(request(failed=(failed,)), llm, locked=True)
    assert prompt.startswith(f"Mend @@\n-a\n as object at 0x... $code. {Verdict.SHAPE.advice}\n")
    assert prompt.endswith("return self.head(self.act(self.conv(x)).mean((2, 3)))\n")
    assert "KEPT" in llm.grammars[0]
    assert "train_setup" not in llm.grammars[0]  # of the lines that this template shows
    bare = replace(failed, verdict=Verdict.NO_DELTA, delta="", reply="I would rather not")
    assert asked(request(failed=(bare,))).startswith("Mend I would rather not as")


def test_what_does_not_fit_is_not_mended(make_attempt: MakeAttempt) -> None:
    one = request(failed=(make_attempt(delta="@@\n" + "+ a\n" * 100),))
    proposer = LLMProposer(FakeLLM(200), template=TEMPLATE, repair_template=MEND, locked=True)
    assert not proposer.mends(one)
    assert proposer.fits(OWN, "digits")
    proposer.llm.room = 400
    assert proposer.mends(one)
    assert not LLMProposer(FakeLLM(), template=TEMPLATE, locked=True).mends(one)


def test_a_template_names_what_there_is_to_show() -> None:
    check_template(composed("llm=qwen").llm.repair_prompt, REPAIR)
    with pytest.raises(ValueError, match=r"names \$reason; known are"):
        check_template("$code $reason")
    with pytest.raises(ValueError, match=r"names \$examples; known are"):
        LLMProposer(FakeLLM(), template="$code", repair_template="$code $examples", locked=True)
