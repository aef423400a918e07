"""What a run leaves behind: rows, cycles, finalists, its summary, and whether it finished."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from deltanas.records.enums import Loop, Purpose, Stage, Verdict
from deltanas.records.networks import UsedBaseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One row of `run.sqlite`: everything known about one reply."""

    attempt_id: str
    cycle: int
    slot: int
    parent_id: str
    dataset: str
    verdict: Verdict
    reason: str
    prompt: str
    reply: str
    # from parent to code, as `git apply` takes it; where none applied, as it was written; empty
    # for whole networks, in which nobody wrote a delta
    delta: str
    code: str  # empty when the delta did not apply
    delta_lines: int | None  # lines of the delta as it was written, headers included
    delta_tokens: int | None  # the same by the proposer's own tokenizer; None: there is none
    prompt_tokens: int
    output_tokens: int
    full_lines: int | None  # lines of the whole network that the delta stands for
    full_tokens: int | None  # the same text by the same tokenizer
    seed: int
    seconds_generate: float
    seconds_evaluate: float
    proxy_accuracy: float | None = None
    first_epoch_accuracy: float | None = None
    gain: float | None = None  # proxy accuracy minus the parent's, same recipe and seed
    parameters: int | None = None
    macs: int | None = None
    novelty: float | None = None  # highest similarity to any known network; None: not asked
    # not better than always answering the majority class, or batch_dependent, or overworked
    degenerate: bool = False
    admitted: bool = False  # novel and good enough: joins the pool of baselines
    reused_from: str | None = None  # attempt or baseline whose score stands, as the AST is equal
    family: str = ""
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    loop: Loop = Loop.trusted  # of the run
    overworked: bool = False  # in its own loop it learned for longer than it was asked to
    graph: str | None = None  # the hash that it claims of its traced network; None: not traced
    repairs: str | None = None  # the attempt that this one was to mend
    writer: str = ""  # who wrote the delta; empty: the version that made the run did not tell

    @property
    def distinct(self) -> bool:
        """Whether it trained, and its syntax tree was new to pool and run (*distinct valid*)."""
        return self.verdict is Verdict.TRAINED and not self.reused_from


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleSummary:
    """What one cycle came to."""

    cycle: int
    attempted: int  # first attempts, as are those of the next two; what mends one is in none
    valid: int
    useful: int
    admitted: int  # of all
    infrastructure_failures: int  # of the first attempts
    mean_first_epoch_accuracy: float | None
    best_first_epoch_accuracy: float | None
    mean_gain: float | None
    mean_delta_lines: float | None
    mean_delta_tokens: float | None
    tune_loss_before: float | None = None  # held-out loss per answer token before LoRA, nats
    tune_loss_after: float | None = None
    adapter_kept: bool | None = None  # False: the adapter was rolled back; None: no tuning
    distinct_valid: int | None = None  # trained, and new to pool and run by their syntax trees
    # wall time of its stages, which add up to that of the cycle
    seconds: Mapping[Stage, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """One network of the study that asks whether one epoch preserves the ranking."""

    attempt_id: str
    dataset: str
    proxy_accuracy: float  # validation split after one epoch
    final_accuracy: float | None  # test split after all epochs; None when training failed
    curve: tuple[float, ...] = field(default=())  # validation accuracy after every epoch
    verdict: Verdict = Verdict.TRAINED
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """One epoch of a known network under another seed than the search's own."""

    network_id: str  # an attempt or a baseline
    dataset: str
    purpose: Purpose
    number: int  # which of the fresh seeds, from 0; equal for networks that are paired
    seed: int
    verdict: Verdict
    reason: str = ""
    validation_accuracy: float | None = None  # None where it did not train
    test_accuracy: float | None = None
    seconds: float = 0.0  # wall time in the worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that a run's file holds, read at once."""

    attempts: tuple[Attempt, ...] = ()  # by cycle and slot
    cycles: tuple[CycleSummary, ...] = ()  # those that are finished
    baselines: tuple[UsedBaseline, ...] = ()  # in the order they were first used
    finalists: tuple[Finalist, ...] = ()
    repeats: tuple[Finalist, ...] = ()  # finalists trained again with another seed
    retrainings: tuple[Retraining, ...] = ()  # in the order in which they were done
    meta: Mapping[str, Any] = field(default_factory=dict)  # configuration, versions, command


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of a run, and the one list of the keys of `summary.json`.

    Rates and accuracies are in [0, 1]; what was not measured is None.
    """

    run_id: str
    llm: str
    dataset: str
    archive: str
    protocol: str
    ablation: str | None
    seed: int
    cycles: int
    attempted: int  # every reply; one that mends another counts in means, lengths and costs too
    valid: int  # of the first attempts, as all that the rates up to infrastructure_failures count
    valid_rate: float | None = None
    valid_rate_low: float | None = None  # Wilson's 95 % interval
    valid_rate_high: float | None = None
    valid_rate_excl_infra: float | None = None
    useful_rate: float | None = None
    infrastructure_failures: int | None = None
    distinct_valid: int | None = None  # trained, and new to pool and run by their syntax trees
    distinct_rate: float | None = None  # of the attempts
    confirmed_n: int | None = None  # of these trained again, as their parents, under fresh seeds
    confirmed_improved: int | None = None  # of them beat their parent under every one
    confirmed_improved_rate: float | None = None
    confirmed_improved_low: float | None = None  # Wilson's 95 % interval
    confirmed_improved_high: float | None = None
    improved_networks: int | None = None  # of these and the best, as many as beat theirs so
    confirmed_best_accuracy: float | None = None  # mean test accuracy under the fresh seeds
    confirmed_best_gain: float | None = None  # that less the same of the best baseline
    top10_error: float | None = None  # 1 - mean test accuracy of the best under fresh seeds
    top10_error_baselines: float | None = None  # the same of the best baselines
    race_epochs: int | None = None  # trained in races, besides one for each attempt
    confirm_epochs: int | None = None  # trained after the search
    repairs: int | None = None  # of the attempted, those that mend another one; None: none may
    valid_at_repair: float | None = None  # share of first attempts that are valid or were mended
    mean_first_epoch_accuracy: float | None = None
    best_first_epoch_accuracy: float | None = None
    mean_gain: float | None = None
    mean_delta_lines: float | None = None
    mean_delta_tokens: float | None = None
    mean_full_lines: float | None = None
    reduction_lines: float | None = None
    reduction_tokens: float | None = None
    spearman_rho: float | None = None
    spearman_low: float | None = None
    spearman_high: float | None = None
    spearman_n: int | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    wall_seconds: float | None = None
    seconds: Mapping[Stage, float | None] = field(default_factory=dict)  # keys `seconds_STAGE`
    verdicts: Mapping[str, int] = field(default_factory=dict)  # every verdict, zeros included

    @property
    def first_attempts(self) -> int:
        """Replies that mend no other one: what the rates are shares of."""
        return self.attempted - (self.repairs or 0)

    def flat(self) -> dict[str, Any]:
        """Return what `summary.json` holds: one key a figure, one a stage, and `verdicts`."""
        flat: dict[str, Any] = {}
        for each in fields(self):
            if each.name == "seconds":
                flat |= {f"seconds_{stage}": self.seconds.get(stage) for stage in Stage}
            else:
                flat[each.name] = getattr(self, each.name)
        return flat | {"verdicts": dict(self.verdicts)}

    @classmethod
    def from_flat(cls, flat: Mapping[str, Any]) -> Summary:
        """Return the summary of such keys; those that it lacks were not measured."""
        known = {each.name for each in fields(cls)} - {"seconds"}
        seconds = {stage: flat.get(f"seconds_{stage}") for stage in Stage}
        return cls(**{key: flat[key] for key in flat if key in known}, seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run that went to its end, with its summary."""

    directory: Path
    summary: Summary
    settings: Mapping[str, str]  # its configuration by dotted key; empty: not recorded
    cycles: tuple[CycleSummary, ...]  # empty: not recorded
    # proxy accuracy of the best network after each attempt, None before the first that trained;
    # empty: not recorded, or of several data sets
    best_so_far: tuple[float | None, ...] = ()


class State(StrEnum):
    """Why a run has no figures yet."""

    RUNNING = "running"  # a process is writing it
    UNFINISHED = "unfinished"  # it broke off with rows; resume=DIRECTORY goes on with it
    FAILED = "failed"  # it ended before its first attempt, or its summary is broken


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRun:
    """A run without figures, and what is known of it. It enters no mean."""

    directory: Path
    state: State
    reason: str  # one sentence
    overrides: tuple[str, ...]  # as given on the command line
    settings: Mapping[str, str]  # as in FinishedRun
    attempted: int = 0  # rows so far
    valid: int = 0


def resume_line(directory: Path) -> str:
    """Return the command that goes on with a run, as a shell reads it."""
    return f"deltanas {shlex.quote(f'resume={directory.absolute()}')}"
