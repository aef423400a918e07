"""The frozen values that walk through the rooms: what each stage receives and what it returns.

Accuracies and rates are fractions in [0, 1]; durations are seconds; a value that was not
measured is `None`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


class Scaling(StrEnum):
    """What becomes of pixels, by LEMUR's names."""

    norm = "norm"  # mean 0 and deviation 1 over the training images
    echo = "echo"  # [0, 1]
    complex = "complex"  # as echo, complex64


class Loop(StrEnum):
    """Whose steps train a network."""

    trusted = "trusted"  # ours
    own = "own"  # its own `learn`
    calibration = "calibration"  # ours, bare, to see what the steps cost


class Precision(StrEnum):
    """Of the arithmetic; weights are always float32."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Stage(StrEnum):
    """What the wall time of a run goes to."""

    start = "start"  # opening every room
    baselines = "baselines"  # scoring new baselines
    generate = "generate"  # asking the proposer
    screen = "screen"  # gates and novelty
    evaluate = "evaluate"  # waiting for the jail
    tune = "tune"  # lessons and LoRA
    record = "record"  # writing what came of it
    study = "study"  # training the finalists


class UserError(Exception):
    """What the user can mend; the message says what was found and what must hold.

    Programs end on one with its message and exit code 2, without a traceback.
    """


class Verdict(StrEnum):
    """How far an attempt got: a closed list. `advice` tells user and LLM what to change."""

    NO_DELTA = "no_delta"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    MISAPPLIED = "misapplied"
    AMBIGUOUS = "ambiguous"
    NO_OP = "no_op"
    SYNTAX = "syntax"
    POLICY = "policy"
    INTERFACE = "interface"
    NOT_NOVEL = "not_novel"
    BUILD = "build"
    SHAPE = "shape"
    TOO_LARGE = "too_large"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    KILLED = "killed"
    TRAINED = "trained"
    INFRASTRUCTURE = "infrastructure"

    @property
    def advice(self) -> str:
        """One sentence that says what to change."""
        return _ADVICE[self]


_ADVICE: Mapping[Verdict, str] = {
    Verdict.NO_DELTA: "Answer with a unified diff: hunks that start with @@, lines marked - or +.",
    Verdict.TRUNCATED: "The reply hit the token limit; write a shorter delta.",
    Verdict.MALFORMED: "Start every line of a hunk with a space, - or +, and every hunk with @@.",
    Verdict.MISAPPLIED: "Copy context and removed lines exactly as in the baseline, in order.",
    Verdict.AMBIGUOUS: "Add context lines until the hunk fits one place only.",
    Verdict.NO_OP: "Change what the network computes, not only its layout or comments.",
    Verdict.SYNTAX: "The edited file must be valid Python; check brackets and indentation.",
    Verdict.POLICY: "Edit the architecture only; imports and training code are fixed.",
    Verdict.INTERFACE: "Keep Net(in_shape, out_shape, prm, device), forward, train_setup, learn.",
    Verdict.NOT_NOVEL: "The network is a near duplicate of a known one; make a larger change.",
    Verdict.BUILD: "Net(in_shape, out_shape, prm, device) must run; check names and arguments.",
    Verdict.SHAPE: "Map (B, C, H, W) to (B, classes); match channels between layers.",
    Verdict.TOO_LARGE: "Use fewer parameters or operations; the network exceeds the size limits.",
    Verdict.DIVERGED: "The loss or the logits became NaN or infinite; make it easier to train.",
    Verdict.OUT_OF_MEMORY: "Training ran out of memory; use smaller maps or fewer channels.",
    Verdict.TIMED_OUT: "Training exceeded its time limit; make the network cheaper.",
    Verdict.KILLED: "The process died of a signal or left early; avoid crashes and exits.",
    Verdict.TRAINED: "The network trained; nothing needs to change.",
    Verdict.INFRASTRUCTURE: "The worker failed, not the candidate; nothing needs to change.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained; candidates inherit it from their baseline (paper, p. 3)."""

    lr: float  # SGD learning rate, > 0
    momentum: float  # SGD momentum, in [0, 1)
    batch: int  # images per step, > 0
    image_size: int  # pixels; images are resized to image_size x image_size
    flip: bool  # random horizontal flips, training images only
    dropout: float | None = None  # offered to the network as prm["dropout"]; None: not offered
    transform: str = ""  # LEMUR's name of the transform, for the record
    scaling: Scaling = Scaling.norm

    def hyperparameters(self) -> dict[str, float | int | str]:
        """Return the `prm` dictionary that LEMUR hands to `Net` and `train_setup`."""
        prm: dict[str, float | int | str] = {
            "lr": self.lr,
            "momentum": self.momentum,
            "batch": self.batch,
            "epoch": 1,
            "transform": self.transform,
        }
        if self.dropout is not None:
            prm["dropout"] = self.dropout
        return prm


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A network to edit: source text in the LEMUR interface, never a live module."""

    baseline_id: str  # unique in a run: archive name, or the attempt id of an admitted candidate
    family: str  # group for balanced sampling: "ga", "rl", "resnet", ...
    code: str  # Python source without comments, docstrings and blank lines
    recipe: Recipe
    parent_id: str | None = (
        None  # the baseline that it was derived from; None for archive networks
    )
    proxy_accuracy: float | None = None  # validation accuracy after one epoch in this run


class Origin(StrEnum):
    """Where a baseline came from."""

    ARCHIVE = "archive"
    ADMITTED = "admitted"  # a candidate that joined the pool


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedBaseline:
    """A baseline as a run used it: how it ended, and its accuracies where it trained."""

    baseline: Baseline  # its proxy accuracy is the one measured in this run
    dataset: str
    origin: Origin
    verdict: Verdict
    reason: str = ""  # one sentence with the values at fault; empty when trained
    first_epoch_accuracy: float | None = None  # test split; reported, never selected on


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One attempt to be made: a baseline, with its score, to be edited for a dataset."""

    cycle: int
    number: int
    dataset: str
    baseline: Baseline

    @property
    def name(self) -> str:
        """The id of the attempt made here."""
        return attempt_id(self.cycle, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One reply asked of a proposer, whatever became of it."""

    prompt: str  # the user turn, before the chat template
    reply: str  # the text that came back; locked decoding has written the @@ numbers
    prompt_tokens: int
    output_tokens: int
    seconds: float  # this reply's share of its batch's wall time
    seed: int
    truncated: bool = False  # the reply hit the token limit before it ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of a language model."""

    text: str
    prompt_tokens: int
    output_tokens: int  # the end-of-turn token included
    seconds: float  # wall time of the batch divided by its replies
    finished: bool  # False: cut at the token limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One baseline with one delta applied: source text, never a live module."""

    attempt_id: str  # "c03-s017": cycle 3, slot 17, both from 0
    baseline: Baseline
    delta: str  # unified diff as the proposer wrote it; empty for whole-network replies
    code: str  # the network after the delta


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A proposal that a gate stopped before it was trained."""

    verdict: Verdict
    reason: str  # one sentence with the values at fault
    delta: str = ""
    code: str = ""  # the network, where the delta applied
    novelty: float | None = None  # highest similarity to a known network; None: not asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One network to check and train in the jail."""

    job_id: str
    code: str
    recipe: Recipe
    dataset: str = ""  # one of the executor's; empty where it has a single one
    epochs: int = 1  # 0: build and shape check only
    seed: int = 0  # network initialisation, order of the images, flips
    loop: Loop = Loop.trusted
    precision: Precision = Precision.float32
    channels_last: bool = False  # memory format of images and weights
    canary: str = ""  # a network that trained under this recipe before; empty: none is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the jail found out about one job. Accuracies exist only when the verdict is TRAINED."""

    job_id: str
    verdict: Verdict
    reason: str = ""  # one sentence with the values at fault; empty when trained
    proxy_accuracy: float | None = None  # validation split, after the last epoch
    first_epoch_accuracy: float | None = (
        None  # test split, after the first epoch; reported, never selected on
    )
    test_accuracy: float | None = None  # test split, after the last epoch
    curve: tuple[float, ...] = ()  # validation accuracy after every epoch
    batch_dependent: bool = False  # an image is answered otherwise among other images
    overworked: bool = False  # its own loop took more CPU time than the epochs asked for do
    parameters: int | None = None
    macs: int | None = None  # multiply-accumulates of one forward pass of one image
    seconds: float = 0.0  # wall time in the worker
    cpu_seconds: float | None = None
    memory_bytes: int | None = None  # peak resident set of the child

    def __post_init__(self) -> None:
        measured = self.proxy_accuracy is not None
        if measured != (self.verdict is Verdict.TRAINED and bool(self.curve)):
            raise ValueError(
                f"{self.job_id}: verdict {self.verdict} with proxy accuracy {self.proxy_accuracy}"
            )


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
    delta: str
    code: str  # empty when the delta did not apply
    delta_lines: int | None  # lines of the delta as emitted, headers included
    delta_tokens: int | None  # by the proposer's own tokenizer; None where there is none
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
    novelty: float | None = None  # highest MinHash-Jaccard to any known network; None: not asked
    # not better than always answering the majority class, or batch_dependent, or overworked
    degenerate: bool = False
    admitted: bool = False  # novel and above the gate: joins the pool of baselines
    reused_from: str | None = None  # attempt or baseline whose score stands, as the AST is equal
    family: str = ""
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    loop: Loop = Loop.trusted  # of the run
    overworked: bool = False  # in its own loop it learned for longer than it was asked to


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One delta to be written: the baseline of a slot is to be edited."""

    slot: Slot
    seed: int
    parents: tuple[Baseline, ...] = ()  # further networks, whose changes may be taken over
    failed: tuple[Attempt, ...] = ()  # earlier attempts at it, with their reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleSummary:
    """What one cycle came to."""

    cycle: int
    attempted: int
    valid: int
    useful: int
    admitted: int
    infrastructure_failures: int
    mean_first_epoch_accuracy: float | None
    best_first_epoch_accuracy: float | None
    mean_gain: float | None
    mean_delta_lines: float | None
    mean_delta_tokens: float | None
    tune_loss_before: float | None = None  # held-out loss per answer token before LoRA, nats
    tune_loss_after: float | None = None
    adapter_kept: bool | None = None  # False: the adapter was rolled back; None: no tuning
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
class Run:
    """Everything that a run's file holds, read at once."""

    attempts: tuple[Attempt, ...] = ()  # by cycle and slot
    cycles: tuple[CycleSummary, ...] = ()  # those that are finished
    baselines: tuple[UsedBaseline, ...] = ()  # in the order they were first used
    finalists: tuple[Finalist, ...] = ()
    repeats: tuple[Finalist, ...] = ()  # finalists trained again with another seed
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
    attempted: int
    valid: int
    valid_rate: float | None = None
    valid_rate_low: float | None = None  # Wilson's 95 % interval
    valid_rate_high: float | None = None
    valid_rate_excl_infra: float | None = None
    useful_rate: float | None = None
    infrastructure_failures: int | None = None
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


def derive_seed(seed: int, *parts: int | str) -> int:
    """Return a 63-bit seed for one purpose: `derive_seed(42, cycle, slot)` is one slot's."""
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def attempt_id(cycle: int, slot: int) -> str:
    """Return the name of one attempt: `c03-s017` is slot 17 of cycle 3, both counted from 0."""
    return f"c{cycle:02d}-s{slot:03d}"
