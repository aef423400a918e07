"""Closed lists: verdicts, stages, where a baseline came from, how a network is trained."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


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
    race = "race"  # training children and parents again under fresh seeds
    tune = "tune"  # lessons and LoRA
    record = "record"  # writing what came of it
    confirm = "confirm"  # training a sample and the best again under fresh seeds
    study = "study"  # training the finalists


class Verdict(StrEnum):
    """How far an attempt got: a closed list."""

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
        """One sentence that tells the LLM what to change."""
        return _ADVICE[self]

    @property
    def for_people(self) -> str:
        """The same for who reads a report or tries a network."""
        return _FOR_PEOPLE.get(self, _ADVICE[self])


_ADVICE: Mapping[Verdict, str] = {
    Verdict.NO_DELTA: "Answer with a unified diff: hunks that start with @@, lines marked - or +.",
    Verdict.TRUNCATED: "The reply hit the token limit; write a shorter delta.",
    Verdict.MALFORMED: "Start every line of a hunk with a space, - or +, and every hunk with @@.",
    Verdict.MISAPPLIED: "Copy context and removed lines exactly as in the baseline, in order.",
    Verdict.AMBIGUOUS: "Add context lines until the hunk fits one place only.",
    Verdict.NO_OP: "Change what the network computes, not only its layout or comments.",
    Verdict.SYNTAX: "The file must be valid Python; check brackets and indentation.",
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
_FOR_PEOPLE: Mapping[Verdict, str] = {  # where one sentence cannot serve both
    Verdict.NO_DELTA: "The reply held no unified diff.",
    Verdict.TRUNCATED: "The reply met the token limit; llm.max_new_tokens raises it.",
    Verdict.MALFORMED: "The reply was no delta that can be read, or more than one.",
    Verdict.MISAPPLIED: "Context or removed lines do not stand in the baseline, or in that order.",
    Verdict.AMBIGUOUS: "A hunk fits several places of the baseline.",
    Verdict.NO_OP: "Nothing changed that the network computes.",
    Verdict.POLICY: "It does or changes what no network may: see SECURITY.md; edits are to leave"
    " imports and training code as they are.",
    Verdict.INTERFACE: "The file must define class Net(in_shape, out_shape, prm, device) with"
    " forward, train_setup and learn, and a function supported_hyperparameters.",
    Verdict.NOT_NOVEL: "It is a near duplicate of a known network; novelty.threshold says how"
    " near it may be.",
    Verdict.TOO_LARGE: "It exceeds protocol.max_parameters or protocol.max_macs.",
    Verdict.OUT_OF_MEMORY: "Training needed more than protocol.memory_gb allows, or there is.",
    Verdict.TIMED_OUT: "Training took longer than protocol.timeout_s; make the network cheaper,"
    " or raise that.",
    Verdict.INFRASTRUCTURE: "The worker failed, not the network; deltanas-doctor says what this"
    " machine offers.",
}


class Purpose(StrEnum):
    """Why a network is trained again under a fresh seed."""

    RACE = "race"  # in the search: does it beat its parent, or was it the seed?
    CONFIRM = "confirm"  # after the search, for its figures


class Origin(StrEnum):
    """Where a baseline came from."""

    ARCHIVE = "archive"
    ADMITTED = "admitted"  # a candidate that joined the pool


class TrackerMode(StrEnum):
    """Whether what a tracker shows leaves this machine."""

    offline = "offline"
    online = "online"
