"""No reply twice, another one for a network that the run has; killed runs ask for the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from deltanas.config.choices import ProposerKind
from deltanas.config.schema import Config
from deltanas.propose.proposer import LLMProposer
from deltanas.records import Drawn, Proposal, Reply, Request, Verdict
from tests.fakes import ListJournal, ScriptedProposer, baseline, delta, network, width_of
from tests.search.test_loop import POOL, configured, searching, walked


class Widths:
    """An LLM that gives a network one of so many widths, in a text of its own for each."""

    def __init__(self, count: int) -> None:
        self.count = count

    def fits(self, prompt: str) -> bool:
        return True

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        grammars: Sequence[str] | None = None,
        on_reply: Callable[[], None] = lambda: None,
        drawn: Sequence[Drawn] | None = None,
    ) -> list[Reply]:
        replies: list[Reply] = []
        said: dict[str, set[str]] = defaultdict(set)
        for prompt, seed, known in zip(prompts, seeds, drawn or (), strict=True):
            texts = [delta(prompt, width) for width in range(60, 60 + self.count)]
            left = [t for t in texts if t not in known.texts and t not in said[known.topic]]
            text = Random(seed).choice(left or texts)
            said[known.topic].add(text)
            replies.append(
                Reply(
                    text=text,
                    prompt_tokens=1,
                    output_tokens=1,
                    seconds=0.0,
                    finished=True,
                    repeats=not left,
                )
            )
        return replies


def drawing(count: int = 50, *, replacement: bool = False) -> Any:
    llm: Any = Widths(count)
    return LLMProposer(llm, template="$architecture", locked=True, replacement=replacement)


def redrawing(redraws: int, **protocol: Any) -> Config:
    config = configured(**protocol)
    config.llm.redraws = redraws
    return config


def test_no_reply_to_a_baseline_comes_twice_whatever_was_killed():
    config = redrawing(1, cycles=3)
    journal = ListJournal()
    whole = walked(searching(config, proposer=drawing(16), journal=journal))
    replies = [(row.parent_id, row.reply) for row in whole]
    assert len(set(replies)) == len(replies) == 12
    assert any(row.output_tokens > 1 for row in whole)
    for count in range(0, len(journal.told), 2):
        killed = ListJournal(journal.told[:count])
        assert walked(searching(config, proposer=drawing(16), journal=killed)) == whole


def test_later_cycles_leave_out_what_the_rows_of_earlier_ones_say():
    config = configured(cycles=2, candidates=4)
    rows = walked(searching(config, proposer=drawing(8), pool=POOL[:1], gate=1.0))
    assert len({row.reply for row in rows}) == 8


def test_baselines_and_data_sets_have_replies_of_their_own():
    pool = [baseline("one", 30), baseline("other", 30)]  # one prompt for both
    config = configured(cycles=1, candidates=8)
    found = walked(
        searching(config, proposer=drawing(2), pool=pool, sets=("digits", "mnist"), gate=1.0)
    )
    keys = [(row.dataset, row.parent_id, row.reply) for row in found]
    assert len(set(keys)) == len(keys) == 8


def test_where_the_llm_has_no_more_replies_one_is_an_attempt_with_the_score_of_the_first():
    config = redrawing(3, cycles=1, candidates=4)
    proposer = drawing(3)
    rows = walked(searching(config, proposer=proposer, pool=POOL[:1]))
    assert [row.reused_from is None for row in rows] == [True, True, True, False]
    assert [row.output_tokens for row in rows] == [1] * 4  # nothing was drawn in vain


def taking_turns(request: Request) -> str:
    """Say first what the run has, then something else."""
    code = request.slot.baseline.code
    width = 40 if not request.replies else 60 + request.slot.number
    return delta(code, width)


def test_a_known_network_is_drawn_again_and_paid_for():
    proposer = ScriptedProposer(taking_turns)
    config = redrawing(2, cycles=1, candidates=3)
    rows = walked(searching(config, proposer=proposer))
    assert [width_of(row.code) for row in rows] == [60, 61, 62]
    assert [(row.output_tokens, row.prompt_tokens) for row in rows] == [(4, 2)] * 3
    assert len(proposer.asked) == 6
    first, again = proposer.asked[0], proposer.asked[3]
    assert (again.slot, len(again.replies)) == (first.slot, 1)
    assert rows[0].seed == again.seed != first.seed


@pytest.mark.parametrize("width", [60, 40, 100], ids=["attempt", "pool", "diverged"])
def test_redraws_are_bounded_and_the_last_reply_is_sent_on(width: int):
    proposer = ScriptedProposer(lambda request: delta(request.slot.baseline.code, width))
    config = redrawing(2, cycles=2, candidates=3)
    rows = walked(searching(config, proposer=proposer, gate=1.0))
    new = width != 40  # one slot brings it in, and all others after it repeat it
    assert len(proposer.asked) == 3 * 6 - 2 * new
    assert len(rows) == 6
    assert {row.parent_id for row in rows if row.verdict is Verdict.NO_OP} <= {"two"}


def test_without_redraws_and_without_an_llm_nothing_is_drawn_again():
    for config in (redrawing(0, cycles=1), redrawing(2, cycles=1)):
        if config.llm.redraws:
            config.proposer = ProposerKind.random_edit
        proposer = ScriptedProposer(lambda request: delta(request.slot.baseline.code, 40))
        walked(searching(config, proposer=proposer))
        assert len(proposer.asked) == config.protocol.candidates


def test_what_is_no_network_is_sent_on_as_it_is():
    class Cut(ScriptedProposer):
        def propose(self, *arguments: Any) -> list[Proposal]:
            return [replace(each, truncated=True) for each in super().propose(*arguments)]

    said = iter(["nothing", "@@\n-no such line\n+a\n", delta(network(30), 40)])
    proposer = ScriptedProposer(lambda request: next(said))
    rows = walked(searching(redrawing(2, cycles=1, candidates=2), proposer=proposer))
    assert {row.verdict for row in rows} == {Verdict.NO_DELTA, Verdict.MISAPPLIED}
    cut = Cut(lambda request: delta(request.slot.baseline.code, 40))
    assert len(walked(searching(redrawing(2, cycles=1), proposer=cut))) == len(cut.asked)
