"""The replies of a cycle: asked for once, and again where a network comes out that the run has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from deltanas.config.choices import Generation, ProposerKind
from deltanas.config.schema import Config
from deltanas.propose.proposer import Proposer
from deltanas.records import Proposal, Refused, Request, Slot, Verdict, derive_seed
from deltanas.screen.duplicates import tree_of
from deltanas.screen.gates import screen_proposal
from deltanas.search.memory import Memory


@dataclass(kw_only=True, slots=True)
class Replies:
    """Asks a proposer; what is drawn and not sent on is paid for and is no attempt."""

    config: Config
    proposer: Proposer
    memory: Memory

    def ask(self, requests: Sequence[Request], on_reply: Callable[[], None]) -> list[Proposal]:
        """Return a reply for every request; `on_reply` is told of each that comes first.

        Where the network of a reply is one that the run or a slot before has, another is drawn, up
        to `llm.redraws` times; the last one is sent on whatever it is. What is drawn depends on
        the rows of earlier cycles only, so a run that goes on asks for the same again.
        """
        slots = [request.slot for request in requests]
        proposals = self.proposer.propose(requests, on_reply)
        redraws = self.config.llm.redraws if self.config.proposer.name is ProposerKind.llm else 0
        here: set[tuple[str, str]] = set()  # data sets and trees of this cycle
        drawn = list(zip(slots, proposals, strict=True))
        waiting = list(range(len(slots)))
        for number in range(redraws):
            waiting = [i for i in waiting if self._known(slots[i], proposals[i], here)]
            if not waiting:
                break
            again = [_another(requests[i], number, drawn) for i in waiting]
            found = self.proposer.propose(again)
            drawn += [(slots[i], each) for i, each in zip(waiting, found, strict=True)]
            for i, each in zip(waiting, found, strict=True):
                proposals[i] = _paid(each, proposals[i])
        return proposals

    def _known(self, slot: Slot, proposal: Proposal, here: set[tuple[str, str]]) -> bool:
        """Tell whether a reply's network is known, and take note of one that is not."""
        if proposal.repeats:
            return False  # nothing else is left to draw
        whole = self.config.generation is Generation.full
        outcome = screen_proposal(slot.name, proposal, slot.baseline, whole_network=whole)
        if isinstance(outcome, Refused) and outcome.verdict is Verdict.NO_OP:
            return True  # the tree is the baseline's
        tree = tree_of(outcome.code) if outcome.code else None
        if tree is None:
            return False
        if tree in self.memory.trees(slot.dataset) or (slot.dataset, tree) in here:
            return True
        here.add((slot.dataset, tree))
        return False


def edited(slot: Slot) -> tuple[str, str]:
    """Return what a slot edits: data set and baseline."""
    return slot.dataset, slot.baseline.baseline_id


def _another(request: Request, number: int, drawn: Sequence[tuple[Slot, Proposal]]) -> Request:
    """Return the request for one more reply, unlike all that were drawn to the same baseline."""
    here = [each for slot, each in drawn if edited(slot) == edited(request.slot)]
    seed = derive_seed(request.seed, "redraw", number)
    return replace(request, seed=seed, replies=(*request.replies, *here))


def _paid(found: Proposal, before: Proposal) -> Proposal:
    """Return a reply that costs what was drawn before it as well."""
    return replace(
        found,
        prompt_tokens=before.prompt_tokens + found.prompt_tokens,
        output_tokens=before.output_tokens + found.output_tokens,
        seconds=before.seconds + found.seconds,
    )
