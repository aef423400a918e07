"""What a candidate's process left behind, judged outside it.

Of what the process wrote, only the logits count: accuracies come from labels that it never had.
Its account of itself (verdict of a failure, reason, sizes) is kept within bounds, not verified.
"""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deltanas.evaluate.channel import (
    HEADER_CAP,
    LENGTH,
    PROBABILITIES,
    Ending,
    Limits,
    Report,
    answer_rows,
    probe_images,
)
from deltanas.evaluate.images.image_data import ImageData, Labels
from deltanas.evaluate.weights import WeightsError, checked_weights
from deltanas.records import Evaluation, Job, Verdict

REASON_CAP = 300  # characters
ROUNDING = 0.02  # of a row's largest logit: far above what another order of sums changes
MOVED = 0.01  # share of the rows that may
_GRAPH = re.compile("[0-9a-f]{32}")
_CHILD_VERDICTS = frozenset(  # what a child may say of itself
    {
        Verdict.SYNTAX,
        Verdict.INTERFACE,
        Verdict.BUILD,
        Verdict.SHAPE,
        Verdict.TOO_LARGE,
        Verdict.DIVERGED,
        Verdict.OUT_OF_MEMORY,
        Verdict.TRAINED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Logits:
    val: NDArray[np.float16]  # (epochs, N_val, classes)
    test: NDArray[np.float16]  # (0 to 2, N_test, classes): after the first and the last epoch
    probe: NDArray[np.float16]  # (N_probe, classes): some of the last validation rows once more


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    verdict: Verdict
    reason: str
    parameters: int | None = None
    macs: int | None = None
    graph: str | None = None


def score(job: Job, report: Report, output: bytes, data: ImageData, limits: Limits) -> Evaluation:
    """Return the evaluation of a job from the worker's report and the child's raw answer.

    Parameters, multiply-accumulates and the graph's hash are taken from a check, never from a
    process that trained; they are the check's own word, held to limits and form only.
    """
    header, payload = _split(output, job, limits)
    curve: tuple[float, ...] = ()
    weights: bytes | None = None
    tested: list[float] = []
    batch_dependent = False
    death = _death(report)
    if death is not None:
        header = death
    elif header is None:
        header = _Header(
            verdict=Verdict.KILLED, reason="the process ended with status 0 before it answered"
        )
    elif header.verdict is Verdict.TRAINED:
        payload, sent = _parted(job, payload, data)
        logits = _logits(job, payload, data)
        weights, unfit = _weights(job, sent)
        if logits is None:
            reason = f"the process answered with {len(payload)} bytes of logits"
            header = _Header(verdict=Verdict.KILLED, reason=reason)
        elif fault := (_fault(payload) or unfit):
            header = fault
        else:
            curve = tuple(_accuracy(epoch, data.val_labels) for epoch in logits.val)
            tested = [_accuracy(epoch, data.test_labels) for epoch in logits.test]
            batch_dependent = _batch_dependent(logits)
            hint = header.reason if header.reason == PROBABILITIES else ""
            header = replace(header, reason=hint)
    return Evaluation(
        job_id=job.job_id,
        verdict=header.verdict,
        reason=header.reason,
        proxy_accuracy=curve[-1] if curve else None,
        first_epoch_accuracy=tested[0] if tested else None,
        test_accuracy=tested[-1] if tested else None,
        curve=curve,
        batch_dependent=batch_dependent,
        parameters=header.parameters,
        macs=header.macs,
        graph=header.graph,
        seconds=report.seconds,
        cpu_seconds=report.cpu_seconds,
        memory_bytes=report.memory_bytes,
        weights=weights if curve else None,
    )


def _parted(job: Job, payload: bytes, data: ImageData) -> tuple[bytes, bytes]:
    """Return logits and weights of an answer; without weights asked for, all of it is logits."""
    rows = answer_rows(job.epochs, len(data.val_labels), len(data.test_labels))
    size = 2 * sum(rows) * data.num_classes
    return (payload[:size], payload[size:]) if job.keep_weights else (payload, b"")


def _fault(logits: bytes) -> _Header | None:
    """Return what is wrong with logits of the right size, if anything."""
    if np.isfinite(np.frombuffer(logits, np.float16)).all():
        return None
    return _Header(verdict=Verdict.DIVERGED, reason="the trained network answers NaN or infinity")


def _weights(job: Job, sent: bytes) -> tuple[bytes | None, _Header | None]:
    """Return the weights of an answer, or what is wrong with them; neither if none are due."""
    if not job.keep_weights:
        return None, None
    try:
        return checked_weights(sent), None
    except WeightsError as error:
        reason = f"the process answered with no weights: {error}"[:REASON_CAP]
        return None, _Header(verdict=Verdict.KILLED, reason=reason)


def _death(report: Report) -> _Header | None:
    """Return verdict and reason of a process that did not end by itself with status 0."""
    code = report.exit_code
    if report.ending == Ending.TIMED_OUT:
        return _Header(
            verdict=Verdict.TIMED_OUT, reason=f"the job was stopped after {report.seconds:.1f} s"
        )
    if report.ending == Ending.SWOLLEN:
        return _Header(
            verdict=Verdict.OUT_OF_MEMORY,
            reason=f"the process held {report.memory_bytes / 2**30:.1f} GiB of memory",
        )
    if report.ending == Ending.CROWDED:
        reason = "the process ran too many threads, or more at once than it was given"
    elif report.ending == Ending.FLOODED:
        reason = f"the process wrote more than {report.output_bytes - 1:,} bytes"
    elif code == -signal.SIGXCPU:
        return _Header(
            verdict=Verdict.TIMED_OUT,
            reason=f"the job was stopped after {report.cpu_seconds:.1f} s of CPU time",
        )
    elif code < 0:
        reason = f"the process was killed by {_signal_name(-code)}"
    elif code:
        reason = f"the process ended with status {code} before it answered"
    else:
        return None
    return _Header(verdict=Verdict.KILLED, reason=reason)


def _signal_name(number: int) -> str:
    """Return the name of a signal; most real-time signals have none."""
    known = {each.value: each.name for each in signal.Signals}
    return known.get(number, f"signal {number}")


def _split(output: bytes, job: Job, limits: Limits) -> tuple[_Header | None, bytes]:
    """Return the header, every field checked, and the bytes after it; None for anything else."""
    counts = not job.epochs
    size = int.from_bytes(output[:LENGTH], "big")
    text, payload = output[LENGTH : LENGTH + size], output[LENGTH + size :]
    if not 0 < size <= HEADER_CAP or len(text) < size:
        return None, b""
    try:
        claimed = json.loads(text)
        header = _Header(
            verdict=Verdict(claimed["verdict"]),
            reason=str(claimed["reason"])[:REASON_CAP],
            parameters=claimed.get("parameters") if counts else None,
            macs=claimed.get("macs") if counts else None,
            graph=claimed.get("graph") if counts and job.trace else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, b""
    sizes = ((header.parameters, limits.max_parameters), (header.macs, limits.max_macs))
    honest = header.verdict in _CHILD_VERDICTS and all(
        (value is None and (header.verdict is not Verdict.TRAINED or not counts))
        or (type(value) is int and 0 <= value <= most)
        for value, most in sizes
    )
    named = header.graph is None or (
        isinstance(header.graph, str) and _GRAPH.fullmatch(header.graph) is not None
    )
    return (header, payload) if honest and named else (None, b"")


def _logits(job: Job, payload: bytes, data: ImageData) -> _Logits | None:
    """Return the logits; None where the bytes are not exactly as many as the job calls for."""
    rows = answer_rows(job.epochs, len(data.val_labels), len(data.test_labels))
    if len(payload) != 2 * sum(rows) * data.num_classes:
        return None
    flat = np.frombuffer(payload, np.float16).reshape(-1, data.num_classes)
    val, test, probe = np.split(flat, np.cumsum(rows)[:2])
    return _Logits(
        val=val.reshape(job.epochs, len(data.val_labels), data.num_classes),
        test=test.reshape(min(job.epochs, 2), len(data.test_labels), data.num_classes),
        probe=probe,
    )


def _batch_dependent(logits: _Logits) -> bool:
    """Tell whether answers changed in other company, by more than rounding does."""
    if not len(logits.probe):
        return False
    before = logits.val[-1][list(probe_images(logits.val.shape[1]))].astype(np.float32)
    change = np.abs(logits.probe.astype(np.float32) - before).max(axis=1)
    moved = change > ROUNDING * (1 + np.abs(before).max(axis=1))
    return bool(moved.mean() > MOVED)


def _accuracy(logits: NDArray[np.float16], labels: Labels) -> float:
    return float((logits.argmax(axis=1) == labels).mean())
