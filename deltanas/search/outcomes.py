"""What a row says that an LLM can learn from: how it answered, and what became of that."""

from __future__ import annotations

from deltanas.config.choices import Decoding, Generation
from deltanas.config.schema import Config
from deltanas.propose.hunks import bare_hunks
from deltanas.propose.prompt import render_answer, render_prompt
from deltanas.records import Attempt, Slot, Verdict
from deltanas.source import fingerprint
from deltanas.tune.curation import Pair
from deltanas.tune.rewards import Outcome


def own_pair(config: Config, slot: Slot, row: Attempt) -> Pair | None:
    """Return an attempt as a pair; None where it did not train, learned nothing, or shows nothing.

    Its answer is the shortest delta to its network.
    """
    if row.gain is None or row.degenerate:
        return None
    answer = _shortest(config, slot, row)
    if not answer:
        return None
    return Pair(
        pair_id=row.attempt_id,
        baseline_id=row.parent_id,
        family=row.family,
        dataset=row.dataset,
        prompt=_asked(config, slot, row),
        answer=answer,
        gain=row.gain,
    )


def own_outcome(config: Config, slot: Slot, row: Attempt) -> Outcome | None:
    """Return what became of an attempt; None where the machine failed or nothing was answered.

    None too where it trained and no gain is believed of it (`Memory.learned`). A network that
    learned nothing counts as a failure. The answer is the shortest delta to its
    network, where there is one, and else what the LLM wrote.
    """
    doubtful = row.verdict is Verdict.TRAINED and row.gain is None and not row.degenerate
    if row.verdict is Verdict.INFRASTRUCTURE or doubtful:
        return None
    answer = _shortest(config, slot, row) or _written(config, row)
    if not answer.strip():
        return None
    gain = None if row.degenerate else row.gain
    return Outcome(
        attempt_id=row.attempt_id,
        cycle=row.cycle,
        baseline_id=row.parent_id,
        family=row.family,
        dataset=row.dataset,
        prompt=_asked(config, slot, row),
        answer=answer,
        finished=row.verdict is not Verdict.TRUNCATED,
        gain=gain,
        sampled=bool(row.prompt) and not row.repairs,
        network="" if gain is None else row.graph or fingerprint(row.code),
    )


def _asked(config: Config, slot: Slot, row: Attempt) -> str:
    """Return the prompt; operators were asked nothing, and repairs about a failure."""
    if row.prompt and not row.repairs:
        return row.prompt
    return render_prompt(config.template(), slot.baseline, row.dataset)


def _shortest(config: Config, slot: Slot, row: Attempt) -> str | None:
    if not row.code or row.verdict is Verdict.SYNTAX:
        return None
    whole = config.generation is Generation.full
    return render_answer(config.template(), slot.baseline, row.code, whole=whole)


def _written(config: Config, row: Attempt) -> str:
    """Return the reply without the numbers that locked decoding added once it had ended."""
    locked = config.decoding is Decoding.locked and config.generation is not Generation.full
    return bare_hunks(row.reply) if locked and row.verdict is not Verdict.TRUNCATED else row.reply
