"""The closed lists of the configuration: what stands for what."""

from __future__ import annotations

from enum import StrEnum


class ProposerKind(StrEnum):
    """Who writes deltas."""

    llm = "llm"
    random_edit = "random_edit"


class Generation(StrEnum):
    """What the LLM answers with."""

    delta = "delta"
    full = "full"  # the whole network, written freely: the paper's control


class Decoding(StrEnum):
    """Whether the LLM can write lines that are not in the baseline as context or removal."""

    locked = "locked"
    free = "free"


class ParentChoice(StrEnum):
    """Which baselines are edited."""

    balanced = "balanced"  # families alike, strong or weak (paper)
    tournament = "tournament"  # the strongest of a few drawn at random
    bandit = "bandit"  # strong ones and those edited little so far, by PUCT
    aging = "aging"  # regularised evolution: the strongest of a few among the youngest


class NoveltyGate(StrEnum):
    """What a near duplicate is kept from."""

    admission = "admission"  # it trains, but does not join the pool (paper)
    training = "training"  # it is not even trained: verdict `not_novel`
    off = "off"


class NoveltyMeasure(StrEnum):
    """By what networks are alike."""

    text = "text"  # MinHash-Jaccard of the source's characters (paper)
    tree = "tree"  # the same of the nodes of the architecture's syntax tree
    graph = "graph"  # alike only where both compute the same: the traced network's hash


class Admission(StrEnum):
    """How good a new network must be to join the pool."""

    gate = "gate"  # not below the data set's gate (paper)
    gain = "gain"  # that, or better than its parent


class Corpus(StrEnum):
    """Which pairs the LLM is tuned on."""

    own = "own"  # those that this run found
    static = "static"  # improving pairs of the LEMUR archive (paper)
    cumulative = "cumulative"  # both


class Curation(StrEnum):
    """How pairs are chosen for a cycle's tuning."""

    balanced = "balanced"  # by gain, datasets and families in turn
    random = "random"  # all alike


class Objective(StrEnum):
    """What the LLM is tuned for."""

    sft = "sft"  # to repeat the best answers (paper)
    dpo = "dpo"  # to prefer the better of two siblings
    grpo = "grpo"  # to answer as the better ones of a group of siblings did
    kto = "kto"  # to give good answers and no bad ones, each judged alone


class FinalistChoice(StrEnum):
    """Which candidates are trained for longer."""

    stratified = "stratified"  # spread over the proxy ranking of each dataset
    top = "top"  # the best by proxy accuracy (paper: the 20 best of each LLM)


class TrainerLoop(StrEnum):
    """Whose steps train a candidate."""

    trusted = "trusted"  # the framework's loop, optimizer and loss
    own = "own"  # the network's own train_setup and learn, as LEMUR's trainer does it


class DType(StrEnum):
    """Of an LLM's weights and arithmetic."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Quantization(StrEnum):
    """How an LLM's weights are packed."""

    none = "none"
    nf4 = "nf4"  # 4 bits, needs the extra `quant`


class ArchiveName(StrEnum):
    """Where baselines come from."""

    builtin = "builtin"
    lemur = "lemur"
    folder = "folder"  # networks of the user's own


class Device(StrEnum):
    """Where candidates train."""

    cpu = "cpu"
    cuda = "cuda"  # on the GPUs of this machine


class JailChoice(StrEnum):
    """Which jail stands around candidates."""

    auto = "auto"  # the strongest of this machine but weak
    strong = "strong"
    noopen = "noopen"
    weak = "weak"


class TrackerName(StrEnum):
    """Where a run is shown."""

    wandb = "wandb"
    none = "none"
