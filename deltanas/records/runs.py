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

    attempt_id: str  # c03-s017: slot 17 of cycle 3, both from 0
    cycle: int  # from 0
    slot: int  # from 0; repairs have numbers after those of the first attempts
    parent_id: str  # the baseline that was edited
    dataset: str  # that it was trained on
    verdict: Verdict  # how far it got
    reason: str  # one sentence with the values at fault; empty where nothing is
    prompt: str  # the user turn; empty: an operator or a random edit wrote it
    reply: str  # as it came; under locked decoding with its @@ numbers
    # from parent to code, as `git apply` takes it; where none applied, as it was written; empty
    # for whole networks, in which nobody wrote a delta
    delta: str
    code: str  # empty when the delta did not apply
    delta_lines: int | None  # lines of the delta as it was written, headers included
    delta_tokens: int | None  # the same by the proposer's own tokenizer; None: there is none
    prompt_tokens: int  # of all that was drawn for it
    output_tokens: int  # of all that was drawn for it
    full_lines: int | None  # lines of the whole network that the delta stands for
    full_tokens: int | None  # the same text by the same tokenizer
    seed: int  # that the reply was drawn with
    seconds_generate: float  # its share of its batch
    seconds_evaluate: float  # wall time in the jail; 0: it was not there, or is reused
    proxy_accuracy: float | None = None  # validation split after one epoch
    first_epoch_accuracy: float | None = None  # test split, same epoch
    gain: float | None = None  # proxy accuracy minus the parent's, same recipe and seed
    parameters: int | None = None  # of the network
    macs: int | None = None  # multiply-accumulates of one image
    novelty: float | None = None  # highest similarity to any known network; None: not asked
    # not better than always answering the majority class, or batch_dependent, or overworked
    degenerate: bool = False
    admitted: bool = False  # novel and good enough: joins the pool of baselines
    reused_from: str | None = None  # attempt or baseline whose score stands, as the AST is equal
    family: str = ""  # of the baseline
    cpu_seconds: float | None = None  # in the jail
    memory_bytes: int | None = None  # peak resident set in the jail
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

    cycle: int  # from 0
    attempted: int  # first attempts, as are those of the next two; what mends one is in none
    valid: int  # that trained
    useful: int  # valid, not degenerate and admitted
    admitted: int  # of all
    infrastructure_failures: int  # of the first attempts
    mean_first_epoch_accuracy: float | None  # test split, over the valid
    best_first_epoch_accuracy: float | None  # test split, over the valid
    mean_gain: float | None  # proxy accuracy over the parent's, over the valid
    mean_delta_lines: float | None  # headers included
    mean_delta_tokens: float | None  # by the LLM's tokenizer
    tune_loss_before: float | None = None  # held-out loss per answer token before LoRA, nats
    tune_loss_after: float | None = None  # the same after it
    adapter_kept: bool | None = None  # False: the adapter was rolled back; None: no tuning
    distinct_valid: int | None = None  # trained, and new to pool and run by their syntax trees
    # wall time of its stages, which add up to that of the cycle
    seconds: Mapping[Stage, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """One network of the study that asks whether one epoch preserves the ranking."""

    attempt_id: str  # of the attempt whose network it is
    dataset: str  # that it was trained on
    proxy_accuracy: float  # validation split after one epoch
    final_accuracy: float | None  # test split after all epochs; None when training failed
    curve: tuple[float, ...] = field(default=())  # validation accuracy after every epoch
    verdict: Verdict = Verdict.TRAINED  # how the long training ended
    reason: str = ""  # why not well; else empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """One epoch of a known network under another seed than the search's own."""

    network_id: str  # an attempt or a baseline
    dataset: str  # that it was trained on
    purpose: Purpose  # why it was trained again
    number: int  # which of the fresh seeds, from 0; equal for networks that are paired
    seed: int  # of weights and images
    verdict: Verdict  # how it ended
    reason: str = ""  # why not well; else empty
    validation_accuracy: float | None = None  # None where it did not train
    test_accuracy: float | None = None  # None where it did not train
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

    run_id: str  # the name of its directory
    llm: str  # llm.name, or what wrote instead: random_edit
    dataset: str  # dataset.name
    archive: str  # archive.name
    protocol: str  # protocol.name
    ablation: str | None  # the change of the search; none: as configured
    seed: int  # of the run
    cycles: int  # that were made, the last perhaps in part
    attempted: int  # every reply; one that mends another counts in means, lengths and costs too
    valid: int  # of the first attempts, as all that the rates up to infrastructure_failures count
    valid_rate: float | None = None  # valid over first attempts
    valid_rate_low: float | None = None  # Wilson's 95 % interval
    valid_rate_high: float | None = None  # the same
    valid_rate_excl_infra: float | None = None  # the same without failures of the machine
    useful_rate: float | None = None  # valid, not degenerate and admitted, over first attempts
    infrastructure_failures: int | None = None  # attempts that the machine failed
    distinct_valid: int | None = None  # trained, and new to pool and run by their syntax trees
    distinct_rate: float | None = None  # of the attempts
    confirmed_n: int | None = None  # of these trained again, as their parents, under fresh seeds
    confirmed_improved: int | None = None  # of them beat their parent under every one
    confirmed_improved_rate: float | None = None  # of those confirmed
    confirmed_improved_low: float | None = None  # Wilson's 95 % interval
    confirmed_improved_high: float | None = None  # the same
    improved_networks: int | None = None  # of these and the best, as many as beat theirs so
    confirmed_best_accuracy: float | None = None  # mean test accuracy under the fresh seeds
    confirmed_best_gain: float | None = None  # that less the same of the best baseline
    top10_error: float | None = None  # 1 - mean test accuracy of the best under fresh seeds
    top10_error_baselines: float | None = None  # the same of the best baselines
    race_epochs: int | None = None  # trained in races, besides one for each attempt
    confirm_epochs: int | None = None  # trained after the search
    repairs: int | None = None  # of the attempted, those that mend another one; None: none may
    valid_at_repair: float | None = None  # share of first attempts that are valid or were mended
    mean_first_epoch_accuracy: float | None = None  # test split, over the valid
    best_first_epoch_accuracy: float | None = None  # test split; reported, never selected on
    mean_gain: float | None = None  # proxy accuracy over the parent's, over the valid
    mean_delta_lines: float | None = None  # headers included
    mean_delta_tokens: float | None = None  # by the LLM's tokenizer
    mean_full_lines: float | None = None  # of the networks that the deltas stand for
    reduction_lines: float | None = None  # 1 - mean delta lines over mean lines of networks
    reduction_tokens: float | None = None  # the same in tokens
    spearman_rho: float | None = None  # proxy against the finalists' long training
    spearman_low: float | None = None  # 95 % interval, bootstrap
    spearman_high: float | None = None  # the same
    spearman_n: int | None = None  # finalists that were ranked
    prompt_tokens: int | None = None  # that the LLM read
    output_tokens: int | None = None  # that it wrote
    wall_seconds: float | None = None  # all processes of the run, resumed ones too
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
