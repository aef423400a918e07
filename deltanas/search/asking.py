"""Asks for deltas: once for every slot of a cycle, and again for what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deltanas.config.schema import Config
from deltanas.propose.proposer import Proposer
from deltanas.records import Attempt, Proposal, Request, Slot, Stage, Verdict, derive_seed
from deltanas.search.journal import Journal
from deltanas.search.judging import as_written
from deltanas.search.memory import Memory
from deltanas.search.replies import Replies, edited
from deltanas.search.stages import Stages

MENDED = frozenset(  # found out before training, and the reply's own fault
    {
        Verdict.NO_DELTA,
        Verdict.TRUNCATED,
        Verdict.MALFORMED,
        Verdict.MISAPPLIED,
        Verdict.AMBIGUOUS,
        Verdict.NO_OP,
        Verdict.SYNTAX,
        Verdict.POLICY,
        Verdict.INTERFACE,
        Verdict.BUILD,
        Verdict.SHAPE,
    }
)


@dataclass(kw_only=True, slots=True)
class Asking:
    """Knows the turns of a cycle: turn t of slot n has number t * candidates + n.

    So neither a repair's number nor its seed depends on what became of other slots.
    """

    config: Config
    proposer: Proposer
    memory: Memory
    journal: Journal
    stages: Stages

    def replies(self, slots: Sequence[Slot]) -> dict[str, Proposal]:
        """Return a reply for every slot; where one is unknown, all are asked for again."""
        known = [self.journal.reply(slot.name) for slot in slots]
        asked: list[Proposal] = []
        if None in known:
            what = "repair" if slots[0].repairs else "generate"
            title = f"cycle {slots[0].cycle}: {what}"
            with self.stages.show(Stage.generate, title, len(slots)) as advance:
                drawing = Replies(config=self.config, proposer=self.proposer, memory=self.memory)
                asked = drawing.ask(self._requests(slots), advance)
        return {
            slot.name: reply or asked[number]
            for number, (slot, reply) in enumerate(zip(slots, known, strict=True))
        }

    def repairs(self, slots: Sequence[Slot], rows: Sequence[Attempt]) -> list[Slot]:
        """Return the slots of the next turn: of those whose row failed and may be mended.

        What would not fit the LLM's context beside its baseline stays as it is. The journal
        answers before the LLM's tokenizer, which a replay does not have.
        """
        count = self.config.protocol.candidates
        failed = [
            replace(slot, number=slot.number + count, repairs=row.attempt_id)
            for slot, row in zip(slots, rows, strict=True)
            if row.verdict in MENDED and slot.number // count < self.config.repair.turns
        ]
        return [
            slot
            for slot, request in zip(failed, self._requests(failed), strict=True)
            if self.journal.reply(slot.name) or self.proposer.mends(request)
        ]

    def _requests(self, slots: Sequence[Slot]) -> list[Request]:
        known = tuple(map(self.memory.learned, self.memory.rows))
        if self.config.prompt.examples:
            known = tuple(map(as_written, known))
        parents = tuple(self.memory.parents.values())
        rows = {row.attempt_id: row for row in known}
        return [
            Request(
                slot=slot,
                seed=derive_seed(self.config.seed, slot.cycle, slot.number),
                known=known,
                parents=parents,
                failed=(as_written(rows[slot.repairs]),) if slot.repairs else (),
                replies=tuple(self.memory.replies[edited(slot)]),
            )
            for slot in slots
        ]
