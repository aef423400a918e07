"""What counts: valid, degenerate, admitted and gain, decided here, in pure functions.

From what the stages found out about one slot to its row, and back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deltanas.records import (
    Attempt,
    Baseline,
    Candidate,
    Evaluation,
    Loop,
    Proposal,
    Refused,
    Slot,
    UsedBaseline,
    Verdict,
)
from deltanas.screen.delta import canonical_delta, extract_delta

IN_JAIL = frozenset(  # verdicts of networks that passed the gates
    {
        Verdict.BUILD,
        Verdict.SHAPE,
        Verdict.TOO_LARGE,
        Verdict.DIVERGED,
        Verdict.OUT_OF_MEMORY,
        Verdict.TIMED_OUT,
        Verdict.KILLED,
        Verdict.TRAINED,
        Verdict.INFRASTRUCTURE,
    }
)


def judge(
    slot: Slot,
    proposal: Proposal,
    outcome: Candidate | Refused,
    evaluation: Evaluation | None,
    *,
    reused_from: str | None,
    similarity: float | None,
    novel: bool,
    majority_rate: float,
    gate: float,
    gain_admits: bool,
    loop: Loop,
    count_tokens: Callable[[str], int | None],
) -> Attempt:
    """Return the row of one slot.

    With `reused_from`, `evaluation` is that of an equal network, and its time counts there. Who
    trained here, is not degenerate, not below the `gate` (or, where `gain_admits`, better than its
    parent), and `novel`, is admitted. A delta that applied is stored as other tools apply it, and
    counted as it was written.
    """
    ending = outcome if isinstance(outcome, Refused) else _measured(slot, evaluation)
    proxy = evaluation.proxy_accuracy if evaluation else None
    degenerate = is_degenerate(evaluation, majority_rate)
    gain = _difference(proxy, slot.baseline.proxy_accuracy)
    better = gain_admits and gain is not None and gain > 0
    strong = proxy is not None and (proxy >= gate or better) and not degenerate
    own = evaluation if not reused_from else None
    return Attempt(
        attempt_id=slot.name,
        cycle=slot.cycle,
        slot=slot.number,
        parent_id=slot.baseline.baseline_id,
        family=slot.baseline.family,
        dataset=slot.dataset,
        verdict=ending.verdict,
        reason=ending.reason or degenerate_reason(evaluation, majority_rate),
        prompt=proposal.prompt,
        reply=proposal.reply,
        delta=_stored(slot, outcome),
        code=outcome.code,
        prompt_tokens=proposal.prompt_tokens,
        output_tokens=proposal.output_tokens,
        **_lengths(outcome, count_tokens),
        seed=proposal.seed,
        seconds_generate=proposal.seconds,
        seconds_evaluate=own.seconds if own else 0.0,
        proxy_accuracy=proxy,
        gain=gain,
        novelty=similarity,
        degenerate=degenerate,
        admitted=strong and novel and not reused_from,
        reused_from=reused_from,
        loop=loop,
        **(_found(evaluation) if evaluation else {}),
        repairs=slot.repairs,
        writer=proposal.writer,
    )


def _stored(slot: Slot, outcome: Candidate | Refused) -> str:
    """Return a delta that applied in the form that other tools apply, and any other as written."""
    applied = outcome.delta and outcome.code
    return canonical_delta(slot.baseline.code, outcome.code) if applied else outcome.delta


def _lengths(
    outcome: Candidate | Refused, count_tokens: Callable[[str], int | None]
) -> dict[str, Any]:
    """Return the lines and tokens of what was written, and of the whole network."""
    delta, code = outcome.delta, outcome.code
    return {
        "delta_lines": _lines(delta) if delta else None,
        "delta_tokens": count_tokens(delta) if delta else None,
        "full_lines": _lines(code) if code else None,
        "full_tokens": count_tokens(code) if code else None,
    }


def _found(evaluation: Evaluation) -> dict[str, Any]:
    """Return what the jail found out, by the names of a row."""
    return {
        "first_epoch_accuracy": evaluation.first_epoch_accuracy,
        "parameters": evaluation.parameters,
        "macs": evaluation.macs,
        "cpu_seconds": evaluation.cpu_seconds,
        "memory_bytes": evaluation.memory_bytes,
        "overworked": evaluation.overworked,
        "graph": evaluation.graph,
    }


def _measured(slot: Slot, evaluation: Evaluation | None) -> Evaluation:
    if evaluation is None:
        raise ValueError(f"{slot.name} passed the gates and has no evaluation")
    return evaluation


def is_degenerate(evaluation: Evaluation | None, majority_rate: float) -> bool:
    """Tell whether a network that trained learned nothing, or cannot be believed.

    It is so up to the accuracy of always answering the most frequent class of the validation
    split, where answers depend on the batch, and where its own loop overworked.
    """
    if evaluation is None or evaluation.proxy_accuracy is None:
        return False
    marked = evaluation.overworked or evaluation.batch_dependent
    return marked or evaluation.proxy_accuracy <= majority_rate


def degenerate_reason(evaluation: Evaluation | None, majority_rate: float) -> str:
    """Return the sentence that says why a network that trained is degenerate; empty: it is not."""
    if evaluation is None or not is_degenerate(evaluation, majority_rate):
        return ""
    if evaluation.overworked:
        return "its own loop took more CPU time than the epochs that it was asked for do"
    if evaluation.batch_dependent:
        return "it answers an image otherwise among other images"
    return (
        f"it learned nothing: proxy accuracy {evaluation.proxy_accuracy:.3f}, where always"
        f" answering the most frequent class has {majority_rate:.3f}; usual causes are a softmax"
        " or sigmoid before the loss, which takes logits, and a learning rate that does not fit"
    )


def evaluation_of(row: Attempt) -> Evaluation:
    """Return what the jail found out about a row's network, as far as the row tells."""
    proxy = row.proxy_accuracy
    return Evaluation(
        job_id=row.attempt_id,
        verdict=row.verdict,
        reason=row.reason,
        proxy_accuracy=proxy,
        first_epoch_accuracy=row.first_epoch_accuracy,
        test_accuracy=row.first_epoch_accuracy,
        curve=() if proxy is None else (proxy,),
        parameters=row.parameters,
        macs=row.macs,
        graph=row.graph,
        seconds=row.seconds_evaluate,
        cpu_seconds=row.cpu_seconds,
        memory_bytes=row.memory_bytes,
        overworked=row.overworked,
        batch_dependent=row.degenerate,  # all that an equal network needs to be degenerate too
    )


def score_of(used: UsedBaseline) -> Evaluation:
    """Return what the jail found out about a baseline, as far as its row tells."""
    proxy = used.baseline.proxy_accuracy
    return Evaluation(
        job_id=used.baseline.baseline_id,
        verdict=used.verdict or Verdict.INFRASTRUCTURE,  # older files do not say why it failed
        reason=used.reason,
        proxy_accuracy=proxy,
        first_epoch_accuracy=used.first_epoch_accuracy,
        test_accuracy=used.first_epoch_accuracy,
        curve=() if proxy is None else (proxy,),
        graph=used.graph,
    )


def as_written(row: Attempt) -> Attempt:
    """Return a row with its delta as the reply has it, which is how prompts show it."""
    applied = bool(row.delta and row.code)
    return replace(row, delta=extract_delta(row.reply)) if applied else row


def as_baseline(row: Attempt, parent: Baseline) -> Baseline:
    """Return the network of a row as a baseline, which trains by its parent's recipe."""
    return replace(
        parent,
        baseline_id=row.attempt_id,
        code=row.code,
        parent_id=row.parent_id,
        proxy_accuracy=row.proxy_accuracy,
    )


def proposal_of(row: Attempt) -> Proposal:
    """Return the reply that a row records."""
    return Proposal(
        prompt=row.prompt,
        reply=row.reply,
        prompt_tokens=row.prompt_tokens,
        output_tokens=row.output_tokens,
        seconds=row.seconds_generate,
        seed=row.seed,
        truncated=row.verdict is Verdict.TRUNCATED,
        writer=row.writer,
    )


def _lines(text: str) -> int:
    return text.removesuffix("\n").count("\n") + 1


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
