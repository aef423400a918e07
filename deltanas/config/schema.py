"""The typed schema of every configuration group. Hydra checks types, `check` checks ranges.

The YAML files under `conf/` say where their numbers come from; this file says what they mean.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf


class ConfigError(ValueError):
    """Values of the configuration that cannot hold; the message names every one of them."""


class ProposerKind(Enum):
    """Who writes deltas."""

    llm = "llm"
    random_edit = "random_edit"


class Generation(Enum):
    """What the LLM answers with."""

    delta = "delta"
    full = "full"  # the whole network, written freely: the paper's control


class Decoding(Enum):
    """Whether the LLM can write lines that are not in the baseline as context or removal."""

    locked = "locked"
    free = "free"


class NoveltyGate(Enum):
    """What a near duplicate is kept from."""

    admission = "admission"  # it trains, but joins neither pool nor corpus (paper)
    training = "training"  # it is not even trained: verdict `not_novel`
    off = "off"


class Corpus(Enum):
    """Which pairs the LLM is tuned on."""

    own = "own"  # those that this run found
    static = "static"  # improving pairs of the LEMUR archive (paper)
    cumulative = "cumulative"  # both


class Curation(Enum):
    """How pairs are chosen for a cycle's tuning."""

    balanced = "balanced"  # by gain, datasets and families in turn
    random = "random"  # all alike


class FinalistChoice(Enum):
    """Which candidates are trained for longer."""

    stratified = "stratified"  # spread over the proxy ranking of each dataset
    top = "top"  # the best by proxy accuracy (paper: the 20 best of each LLM)


class TrainerLoop(Enum):
    """Whose steps train a candidate."""

    trusted = "trusted"  # the framework's loop, optimizer and loss
    own = "own"  # the network's own train_setup and learn, as LEMUR's trainer does it


def bounded(default: Any, low: float, high: float = math.inf, *, open_low: bool = False) -> Any:
    """Return a field whose value must lie in [low, high], or in (low, high] when open."""
    return field(default=default, metadata={"low": low, "high": high, "open_low": open_low})


@dataclass
class LLMConfig:
    """The language model and how it is sampled."""

    name: str = MISSING
    model: str = MISSING  # hub id, folder, or "embedded"
    dtype: str = "bfloat16"  # of weights and arithmetic: float32, bfloat16, float16
    quantization: str = "none"  # nf4: weights in 4 bits, needs the extra `quant`
    device: str = "auto"  # auto: the GPU if there is one
    context: int = bounded(4096, 64)  # tokens of prompt and answer together
    max_new_tokens: int = bounded(1024, 1)
    full_max_new_tokens: int = bounded(2048, 1)  # where generation=full asks for networks
    temperature: float = bounded(0.35, 0.0, open_low=True)
    top_k: int = bounded(50, 1)
    top_p: float = bounded(0.9, 0.0, 1.0, open_low=True)
    batch: int = bounded(8, 1)  # replies sampled at once
    stop: list[str] = field(default_factory=list)  # tokens that end a reply, besides its own
    lora_targets: list[str] = field(
        default_factory=lambda: (
            ["q_proj", "k_proj", "v_proj", "o_proj"] + ["gate_proj", "up_proj", "down_proj"]
        )
    )
    checkpointing: bool = False  # tuning: compute activations twice instead of keeping them
    lock_names: bool = False  # locked decoding: added lines use known names only
    prompt: str = MISSING  # template of the user turn, see propose/prompt.py
    full_prompt: str = MISSING  # the same where generation=full asks for a whole network


@dataclass
class ImageSetConfig:
    """One image set, and from which proxy accuracy on a candidate may join its pool."""

    name: str = MISSING
    gate: float | None = bounded(None, 0.0, 1.0)  # proxy accuracy; null: each member's own
    image_size: int = bounded(32, 8, 512)  # pixels that images are stored at
    root: str | None = None  # folder with the files of all sets; null: the user's data folder


@dataclass
class DatasetConfig(ImageSetConfig):
    """What is searched on: one image set, or several whose slots take turns."""

    members: dict[str, ImageSetConfig] = field(default_factory=dict)  # none: the set itself

    def sets(self) -> list[ImageSetConfig]:
        """Return the image sets of the search; a root named here holds for those without one."""
        if not self.members:
            return [self]
        return [replace(one, root=one.root or self.root) for one in self.members.values()]

    def gate_of(self, one: ImageSetConfig) -> float:
        """Return the gate of one of the sets: one for all where it is set here, else its own."""
        return self.gate if self.gate is not None else one.gate or 0.0


@dataclass
class ArchiveConfig:
    """Where baselines come from."""

    name: str = MISSING
    path: str | None = None  # LEMUR's SQLite file; null: the user's cache folder
    max_lines: int = bounded(400, 10)  # of a baseline's source
    max_image_size: int = bounded(64, 8)  # pixels that a baseline's recipe may ask for


@dataclass
class ProtocolConfig:
    """How much is searched, and what a candidate may cost."""

    name: str = MISSING
    cycles: int = bounded(4, 1)
    candidates: int = bounded(12, 1)  # attempts per cycle
    grow_pool: bool = True  # admitted candidates become baselines
    finalists: int = bounded(8, 0)  # trained again, for longer; 0: no study
    finalist_choice: FinalistChoice = FinalistChoice.stratified
    finalist_epochs: int = bounded(50, 2)
    finalist_repeats: int = bounded(0, 0)  # finalists trained again with another seed; 0: none
    timeout_s: float = bounded(600.0, 0.0, open_low=True)  # wall time of one proxy epoch
    memory_gb: float = bounded(4.0, 0.5)  # of one worker
    max_parameters: int = bounded(50_000_000, 1)
    max_macs: int = bounded(5_000_000_000, 1)  # of one image


@dataclass
class NoveltyConfig:
    """MinHash-Jaccard similarity to every known network (paper: 256, 10 characters, 0.90)."""

    gate: NoveltyGate = NoveltyGate.admission
    threshold: float = bounded(0.90, 0.0, 1.0)  # novel below it
    permutations: int = bounded(256, 16)
    shingle: int = bounded(10, 1)  # characters


@dataclass
class LoraConfig:
    """LoRA tuning after every cycle."""

    enabled: bool = True
    corpus: Corpus = Corpus.own
    curation: Curation = Curation.balanced
    r: int = bounded(32, 1)
    alpha: int = bounded(32, 1)
    dropout: float = bounded(0.05, 0.0, 1.0)
    lr: float = bounded(1e-5, 0.0, open_low=True)
    weight_decay: float = bounded(0.01, 0.0)
    epochs: int = bounded(3, 1)
    batch: int = bounded(1, 1)
    accumulate: int = bounded(8, 1)
    pairs: int = bounded(256, 1)  # at most, per cycle
    minimum_gain: float = bounded(0.0, -1.0, 1.0)  # proxy accuracy over the parent's
    per_baseline: int = bounded(4, 1)  # pairs of one baseline, at most


@dataclass
class TrainerConfig:
    """How candidates, baselines and finalists are trained."""

    loop: TrainerLoop = TrainerLoop.trusted
    precision: str = "float32"  # or bfloat16, for products and convolutions in our loop
    channels_last: bool = False  # memory format of images and weights

    def options(self) -> dict[str, Any]:
        """Return what every job says of its training."""
        return {
            "loop": self.loop.value,
            "precision": self.precision,
            "channels_last": self.channels_last,
        }


@dataclass
class ExecutorConfig:
    """Where candidates are evaluated."""

    name: str = MISSING
    device: str = "cpu"  # or cuda: candidates train on the GPUs of this machine
    workers: int | None = None  # null: one per core, or per GPU
    threads: int = bounded(1, 1)  # per worker
    jail: str = "auto"  # strong, noopen or weak; auto: the strongest of this machine but weak


@dataclass
class TrackerConfig:
    """Where a run is shown besides its own directory."""

    name: str = MISSING
    project: str = "deltanas"
    entity: str | None = None
    group: str | None = None  # null: the jobs of a sweep share its folder's name
    mode: str = "offline"  # offline or online


@dataclass
class Config:
    """One search."""

    seed: int = bounded(42, 0, 2**31 - 1)
    proposer: ProposerKind = ProposerKind.llm
    generation: Generation = Generation.delta
    decoding: Decoding = Decoding.locked
    ablation: str = "none"  # name of the change; set by the files of conf/ablation
    llm: LLMConfig = field(default_factory=LLMConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    novelty: NoveltyConfig = field(default_factory=NoveltyConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)

    def writer(self) -> str:
        """Return who writes the deltas: the name of the LLM, or of what stands for it."""
        return self.llm.name if self.proposer is ProposerKind.llm else self.proposer.value

    def template(self) -> str:
        """Return the user turn's template: for deltas, or for whole networks."""
        return self.llm.full_prompt if self.generation is Generation.full else self.llm.prompt

    def new_tokens(self) -> int:
        """Return the tokens of the longest answer: a delta, or a whole network."""
        full = self.generation is Generation.full
        return self.llm.full_max_new_tokens if full else self.llm.max_new_tokens


CHOICES = {
    "llm.dtype": ("float32", "bfloat16", "float16"),
    "llm.quantization": ("none", "nf4"),
    "tracker.mode": ("offline", "online"),
    "tracker.name": ("wandb", "none"),
    "executor.name": ("local",),
    "executor.device": ("cpu", "cuda"),
    "trainer.precision": ("float32", "bfloat16"),
    "executor.jail": ("auto", "strong", "noopen", "weak"),
    "archive.name": ("builtin", "lemur"),
}


def check(config: Config) -> None:
    """Raise ConfigError naming every value out of its range, with what was found and must hold."""
    faults = list(faults_of(config))
    if config.dataset.members and config.dataset.image_size != ImageSetConfig.image_size:
        faults.append("dataset.image_size is set, but each member of the dataset has its own")
    if config.trainer.loop is TrainerLoop.own and config.trainer.precision != "float32":
        faults.append(
            f"trainer.precision={config.trainer.precision} is for trainer.loop=trusted; a network"
            " that trains itself chooses its own, so it must be float32"
        )
    if config.trainer.loop is TrainerLoop.own and config.executor.device != "cpu":
        faults.append(
            f"executor.device={config.executor.device} is for trainer.loop=trusted; what a network"
            " that trains itself may take is told by its CPU time, so it must be cpu"
        )
    if faults:
        raise ConfigError("\n".join(faults))


def faults_of(node: Any, prefix: str = "") -> Iterator[str]:
    for each in fields(node):
        value, key = getattr(node, each.name), f"{prefix}{each.name}"
        if is_dataclass(value):
            yield from faults_of(value, f"{key}.")
        elif isinstance(value, dict):
            for name, member in value.items():
                yield from faults_of(member, f"{key}.{name}.")
        elif key in CHOICES and value not in CHOICES[key]:
            yield f"{key}={value} is unknown; it must be one of {', '.join(CHOICES[key])}"
        elif each.metadata and isinstance(value, int | float):
            low, high = each.metadata["low"], each.metadata["high"]
            strict = each.metadata["open_low"]
            if not (low <= value <= high) or (strict and value == low):
                bound = f"above {low:g}" if strict else f"at least {low:g}"
                limit = "" if high == math.inf else f" and at most {high:g}"
                yield f"{key}={value} is out of range; it must be {bound}{limit}"
        elif key == "executor.workers" and value is not None and value < 1:
            yield f"{key}={value} is out of range; it must be at least 1, or null for one per core"


def register() -> None:
    """Make the schema and the `unique` resolver known to Hydra; calling it again does no harm."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver(
        "unique", lambda: uuid.uuid4().hex[:6], replace=True, use_cache=True
    )


def from_hydra(node: Any) -> Config:
    """Return the checked configuration. Raises ConfigError."""
    config = OmegaConf.to_object(node)
    if not isinstance(config, Config):
        raise TypeError(f"the configuration is a {type(config).__name__}; it must be a Config")
    check(config)
    _settle_paths(config)
    return config


def _settle_paths(config: Config) -> None:
    """Make paths absolute, so that a run may be resumed from another folder."""
    for one in (config.dataset, *config.dataset.members.values()):
        one.root = str(Path(one.root).absolute()) if one.root else None
    if config.archive.path:
        config.archive.path = str(Path(config.archive.path).absolute())
    if config.llm.model != "embedded" and Path(config.llm.model).exists():
        config.llm.model = str(Path(config.llm.model).absolute())
