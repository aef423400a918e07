"""What walks from the archive to the jail: baselines, slots, replies, candidates, jobs."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from deltanas.records.enums import Loop, Origin, Precision, Scaling, Verdict

# Fields of a recipe that come from its data set, not from its network.
SET_BY_DATASET = ("image_size", "flip", "scaling", "transform")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedBaseline:
    """A baseline as a run used it: how it ended, and its accuracies where it trained."""

    baseline: Baseline  # its proxy accuracy is the one measured in this run
    dataset: str
    origin: Origin
    verdict: Verdict | None  # None: the version that made the run did not tell
    reason: str = ""  # one sentence with the values at fault; empty when trained
    first_epoch_accuracy: float | None = None  # test split; reported, never selected on
    graph: str | None = None  # hash of the traced network; None: not traced


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One attempt to be made: a baseline, with its score, to be edited for a dataset."""

    cycle: int
    number: int
    dataset: str
    baseline: Baseline
    repairs: str | None = None  # the attempt that is to be mended; None: a first attempt

    @property
    def name(self) -> str:
        """The id of the attempt made here."""
        return attempt_id(self.cycle, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One reply asked of a proposer, whatever became of it."""

    prompt: str  # the user turn, before the chat template
    reply: str  # the text that came back; locked decoding has written the @@ numbers
    prompt_tokens: int  # as the two below, of all that was drawn until this reply was sent on
    output_tokens: int
    seconds: float  # its share of its batch's wall time
    seed: int  # that it was drawn with, itself
    truncated: bool = False  # the reply hit the token limit before it ended
    writer: str = ""  # "llm", "random_edit", "recombination", "transplant", "drop"
    repeats: bool = False  # it was to be a new one, and all that the LLM can say were known


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of a language model."""

    text: str
    prompt_tokens: int
    output_tokens: int  # the end-of-turn token included
    seconds: float  # wall time of the batch divided by its replies
    finished: bool  # False: cut at the token limit
    repeats: bool = False  # it was to be a new one, and all that the LLM can say were known


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
    trace: bool = False  # tell the hash of the network's graph
    checked: Evaluation | None = None  # by a job without epochs before; None: it is checked first
    keep_weights: bool = False  # answer with the trained weights too
    # in safetensors' format: answer with these instead of training, as after one epoch
    weights: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the jail found out about one job. Accuracies exist only when the verdict is TRAINED."""

    job_id: str
    verdict: Verdict
    # one sentence with the values at fault; of a trained network, what keeps it from learning
    reason: str = ""
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
    graph: str | None = None  # its own word on what it computes, as a hash; None: not traced
    seconds: float = 0.0  # wall time in the worker
    cpu_seconds: float | None = None
    memory_bytes: int | None = None  # peak resident set of the child
    # in safetensors' format, where the job asked for them: the child's own word, within bounds
    weights: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        measured = self.proxy_accuracy is not None
        if measured != (self.verdict is Verdict.TRAINED and bool(self.curve)):
            raise ValueError(
                f"{self.job_id}: verdict {self.verdict} with proxy accuracy {self.proxy_accuracy}"
            )


def derive_seed(seed: int, *parts: int | str) -> int:
    """Return a 63-bit seed for one purpose: `derive_seed(42, cycle, slot)` is one slot's."""
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def attempt_id(cycle: int, slot: int) -> str:
    """Return the name of one attempt: `c03-s017` is slot 17 of cycle 3, both counted from 0."""
    return f"c{cycle:02d}-s{slot:03d}"


def is_attempt_id(name: str) -> bool:
    """Tell whether a name has the form that `attempt_id` gives, and so may name a file."""
    return re.fullmatch(r"c[0-9]{2,}-s[0-9]{3,}", name) is not None
