"""What becomes of one reply: the gates before the jail, and the row after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from deltanas.config.choices import Admission, Generation, NoveltyGate
from deltanas.config.schema import Config
from deltanas.propose.proposer import Proposer
from deltanas.records import Attempt, Baseline, Candidate, Loop, Proposal, Refused, Slot
from deltanas.screen.gates import refuse_near_duplicate, screen_proposal
from deltanas.search.judging import as_baseline, judge
from deltanas.search.memory import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What a candidate of a data set must reach, as proxy accuracy in [0, 1]."""

    majority_rate: float  # of the validation split; up to it a network is degenerate
    gate: float  # from it on a network may join the pool


@dataclass(kw_only=True, slots=True)
class Candidates:
    """Screens replies and writes rows by what the configuration asks for."""

    config: Config
    thresholds: Mapping[str, Thresholds]  # by dataset
    proposer: Proposer  # whose tokenizer counts
    memory: Memory

    def screen(self, slot: Slot, proposal: Proposal) -> Candidate | Refused:
        """Return the candidate of a reply, or why there is none; nothing of it is executed."""
        whole = self.config.generation is Generation.full
        outcome = screen_proposal(slot.name, proposal, slot.baseline, whole_network=whole)
        index = self.memory.novelty
        if isinstance(outcome, Refused) or self.config.novelty.gate is not NoveltyGate.training:
            return outcome
        if index is None or self.memory.find_equal(slot, outcome.code):
            return outcome
        return refuse_near_duplicate(outcome, index)

    def row(
        self, slot: Slot, proposal: Proposal, outcome: Candidate | Refused, source: str | None
    ) -> Attempt:
        """Return the row of a slot; `source` names the network whose score it gets, if any."""
        at, novelty = self.thresholds[slot.dataset], self.config.novelty
        evaluation = self.memory.scores[slot.dataset, source] if source else None
        reused = source if source != slot.name else None
        similarity = outcome.novelty if isinstance(outcome, Refused) else None
        if evaluation and evaluation.proxy_accuracy is not None and not reused:
            similarity = self.memory.similarity(slot, outcome.code, evaluation.graph)
        row = judge(
            slot,
            proposal,
            outcome,
            evaluation,
            reused_from=reused,
            similarity=similarity,
            novel=self.memory.is_novel(similarity) or novelty.gate is NoveltyGate.off,
            majority_rate=at.majority_rate,
            gate=at.gate,
            gain_admits=novelty.admit is Admission.gain,
            loop=Loop(self.config.trainer.loop),
            count_tokens=self.proposer.count_tokens,
        )
        return replace(row, admitted=False) if self.config.confirm.race else row

    def may_race(self, slot: Slot, row: Attempt) -> bool:
        """Tell whether a row looks better than its parent and is as new as the pool asks for."""
        novel = self.config.novelty.gate is NoveltyGate.off or self.memory.is_novel(row.novelty)
        sound = not (row.degenerate or row.overworked or row.reused_from)
        return novel and sound and row.gain is not None and row.gain > 0

    def is_new(self, slot: Slot, row: Attempt) -> bool:
        """Tell whether a row is as new as the pool asks for, now that others joined."""
        if self.config.novelty.gate is NoveltyGate.off:
            return True
        return self.memory.is_novel(self.memory.similarity(slot, row.code, row.graph))

    def joining(self, slot: Slot, row: Attempt) -> Baseline | None:
        """Return the baseline that an admitted candidate becomes, where the pool may grow."""
        if not (row.admitted and self.config.protocol.grow_pool):
            return None
        return as_baseline(row, slot.baseline)
