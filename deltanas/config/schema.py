"""The typed schema of every group. Hydra checks types, `compose.check` checks ranges.

The YAML files under `conf/` say where their numbers come from; this file says what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from omegaconf import MISSING

from deltanas.config.choices import (
    Admission,
    ArchiveName,
    Corpus,
    Curation,
    Decoding,
    Device,
    DType,
    FinalistChoice,
    Generation,
    JailChoice,
    NoveltyGate,
    NoveltyMeasure,
    Objective,
    ParentChoice,
    ProposerKind,
    Quantization,
    TrackerName,
    TrainerLoop,
)
from deltanas.config.ranges import bounded
from deltanas.records import Loop, Precision, TrackerMode


@dataclass
class LLMConfig:
    """The language model and how it is sampled."""

    name: str = MISSING  # as reports call it
    model: str = MISSING  # id on the hub, folder, or "embedded"
    dtype: DType = DType.bfloat16
    quantization: Quantization = Quantization.none
    device: str = "auto"  # auto: the GPU if there is one
    context: int = bounded(4096, 64)  # tokens of prompt and answer together
    max_new_tokens: int = bounded(1024, 1)  # of a reply, at most
    full_max_new_tokens: int = bounded(2048, 1)  # where generation=full asks for networks
    temperature: float = bounded(0.35, 0.0, open_low=True)  # 1: as the LLM has it; lower: surer
    top_k: int = bounded(50, 1)  # a token is drawn from so many of the likeliest
    top_p: float = bounded(0.9, 0.0, 1.0, open_low=True)  # and of the likeliest that sum to this
    replacement: bool = True  # false: no reply to a baseline twice on a data set
    redraws: int = bounded(0, 0)  # replies more, for one whose network the run has
    batch: int = bounded(8, 1)  # replies sampled at once
    stop: list[str] = field(default_factory=list)  # tokens that end a reply, besides its own
    lora_targets: list[str] = field(  # the layers that an adapter changes
        default_factory=lambda: (
            ["q_proj", "k_proj", "v_proj", "o_proj"] + ["gate_proj", "up_proj", "down_proj"]
        )
    )
    checkpointing: bool = False  # of tuning: compute activations twice instead of keeping them
    lock_names: bool = False  # locked decoding: added lines use known names only
    prompt: str = MISSING  # template of the user turn, see propose/prompt.py
    repair_prompt: str = ""  # the same where a failed delta is shown; empty: it cannot be mended
    full_prompt: str = MISSING  # the same where generation=full asks for a whole network


@dataclass
class ProposerConfig:
    """Who writes deltas."""

    name: ProposerKind = ProposerKind.llm
    # share of the slots that go to recombination, transplant and dropped hunks of earlier deltas
    operators: float = bounded(0.0, 0.0, 1.0)


@dataclass
class RepairConfig:
    """Whether a failed reply is shown back to the LLM."""

    turns: int = bounded(0, 0, 2)  # further replies for a slot, until one is valid


@dataclass
class PromptConfig:
    """What the prompt shows besides the baseline."""

    examples: int = bounded(0, 0)  # earlier deltas with what came of them, at most


@dataclass
class ImageSetConfig:
    """One image set, and from which proxy accuracy on a candidate may join its pool."""

    name: str = MISSING  # as reports call it
    gate: float | None = bounded(None, 0.0, 1.0)  # proxy accuracy; null: each member's own
    image_size: int = bounded(32, 8, 512)  # pixels that images are stored at
    root: str | None = None  # folder with the files of all sets; null: the user's data folder
    class_folders: bool = False  # the root has a folder of images for each class (dataset=folder)
    channels: int = bounded(3, 1, 3)  # of dataset=folder: 3, or 1 for grey


@dataclass
class DatasetConfig(ImageSetConfig):
    """What is searched on: one image set, or several whose slots take turns."""

    members: dict[str, ImageSetConfig] = field(default_factory=dict)  # by name; none: itself

    def sets(self) -> list[ImageSetConfig]:
        """Return the image sets of the search; a root named here holds for those without one."""
        if not self.members:
            return [self]
        return [replace(one, root=one.root or self.root) for one in self.members.values()]

    def own_sizes(self) -> dict[str, int]:
        """Return the image sizes, in pixels, of the sets that are the user's own, by name."""
        return {one.name: one.image_size for one in self.sets() if one.class_folders}

    def gate_of(self, one: ImageSetConfig) -> float:
        """Return the gate of one of the sets: one for all where it is set here, else its own."""
        return self.gate if self.gate is not None else one.gate or 0.0


@dataclass
class ArchiveConfig:
    """Where baselines come from."""

    name: ArchiveName = MISSING
    # LEMUR's SQLite file (null: in the user's cache folder), or the folder of archive=folder
    path: str | None = None
    max_lines: int = bounded(400, 10)  # of a baseline's source
    max_image_size: int = bounded(64, 8)  # pixels that a baseline's recipe may ask for


@dataclass
class ProtocolConfig:
    """How much is searched, and what a candidate may cost."""

    name: str = MISSING  # as reports call it
    cycles: int = bounded(4, 1)  # of candidates, training and tuning
    candidates: int = bounded(12, 1)  # attempts per cycle
    survey: int = bounded(0, 0)  # baselines scored before the first cycle; others when drawn
    grow_pool: bool = True  # admitted candidates become baselines
    finalists: int = bounded(8, 0)  # trained again, for longer; 0: no study
    finalist_choice: FinalistChoice = FinalistChoice.stratified
    finalist_epochs: int = bounded(50, 2)  # that a finalist trains
    finalist_repeats: int = bounded(0, 0)  # finalists trained again with another seed; 0: none
    timeout_s: float = bounded(600.0, 0.0, open_low=True)  # wall time of one proxy epoch
    memory_gb: float = bounded(4.0, 0.5)  # of one worker
    max_parameters: int = bounded(50_000_000, 1)  # of a network
    max_macs: int = bounded(5_000_000_000, 1)  # of a network, for one image


@dataclass
class ConfirmConfig:
    """What is trained again under fresh seeds, since one seed is noise."""

    race: int = bounded(0, 0, 20)  # seeds at most, in which a child must beat its parent; 0: none
    sample: int = bounded(0, 0)  # new networks whose gain is confirmed after the search
    best: int = bounded(0, 0)  # networks, and baselines, that are confirmed as the best
    seeds: int = bounded(3, 2, 20)  # fresh seeds of the two above


@dataclass
class NoveltyConfig:
    """What is new: by MinHash-Jaccard (paper: 256, 10 characters, 0.90), or by graph."""

    measure: NoveltyMeasure = NoveltyMeasure.text
    gate: NoveltyGate = NoveltyGate.admission
    admit: Admission = Admission.gate  # who is good enough, where confirm.race does not decide
    threshold: float = bounded(0.90, 0.0, 1.0)  # novel below it; a graph is known or not
    permutations: int = bounded(256, 16)  # of a MinHash signature
    shingle: int = bounded(10, 1)  # characters, or nodes of trees


@dataclass
class LoraConfig:
    """LoRA tuning after every cycle; the defaults are the paper's (arXiv 2605.04903).

    The paper adapts `lm_head` too, which the defaults leave out: its adapter is the largest, and
    where input and output embeddings are tied it cannot be merged into the weights.
    """

    enabled: bool = True  # false: the LLM stays frozen
    corpus: Corpus = Corpus.own
    curation: Curation = Curation.balanced
    r: int = bounded(32, 1)  # rank of what is added to a layer's weights
    alpha: int = bounded(32, 1)  # what is added is multiplied by alpha / r
    dropout: float = bounded(0.05, 0.0, 1.0)  # of tune.objective=sft; the others go without
    lr: float = bounded(1e-5, 0.0, open_low=True)  # of AdamW
    weight_decay: float = bounded(0.01, 0.0)  # of AdamW
    epochs: int = bounded(3, 1)  # over a cycle's pairs
    batch: int = bounded(1, 1)  # pairs that fill the context, in a forward pass
    accumulate: int = bounded(8, 1)  # batches of an optimizer step
    pairs: int = bounded(256, 1)  # that a cycle teaches, at most
    minimum_gain: float = bounded(0.0, -1.0, 1.0)  # of a pair: proxy accuracy over the parent's
    per_baseline: int = bounded(4, 1)  # pairs of one baseline, at most


@dataclass
class TuneConfig:
    """What the LLM learns from a search; `lora` says which of its weights change, and how far.

    `sft` imitates the best pairs. The others also learn from what failed, but for failures of the
    machine, empty answers and what was asked about baselines held out; `grpo` from the answers
    of its own cycle only.
    """

    objective: Objective = Objective.sft
    beta: float = bounded(0.1, 0.0)  # dpo, grpo, kto: how much the frozen LLM holds back
    siblings: int = bounded(1, 1)  # slots of a cycle that have their parent in common
    margin: float = bounded(0.1, 0.0, 1.0)  # rewards closer than this count as equal
    real_share: float = bounded(0.0, 0.0, 0.9)  # of LEMUR's pairs in what a cycle teaches
    guard: bool = False  # undo an adapter whose distinct networks fell by more than chance


@dataclass
class TrainerConfig:
    """How candidates, baselines and finalists are trained."""

    loop: TrainerLoop = TrainerLoop.trusted
    precision: Precision = Precision.float32  # of products and convolutions in our loop
    channels_last: bool = False  # memory format of images and weights

    def options(self) -> dict[str, Any]:
        """Return what every job says of its training."""
        return {
            "loop": Loop(self.loop),
            "precision": self.precision,
            "channels_last": self.channels_last,
        }


@dataclass
class ExecutorConfig:
    """Where candidates are evaluated."""

    device: Device = Device.cpu
    workers: int | None = None  # candidates at once; null: one per core, or per GPU
    threads: int = bounded(1, 1)  # per worker
    jail: JailChoice = JailChoice.auto  # SECURITY.md says what each tier keeps out


@dataclass
class TrackerConfig:
    """Where a run is shown besides its own directory."""

    name: TrackerName = MISSING
    project: str = "deltanas"  # of W&B
    entity: str | None = None  # the user or team of W&B; null: its own default
    group: str | None = None  # of W&B; null: the jobs of a sweep share its folder's name
    mode: TrackerMode = TrackerMode.offline
    artifacts: bool = False  # report.html, and the source of the best network


@dataclass
class Config:
    """One search."""

    seed: int = bounded(42, 0, 2**31 - 1)  # everything that is drawn derives from it
    proposer: ProposerConfig = field(default_factory=ProposerConfig)
    repair: RepairConfig = field(default_factory=RepairConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    generation: Generation = Generation.delta
    decoding: Decoding = Decoding.locked
    parents: ParentChoice = ParentChoice.balanced
    ablation: str = "none"  # name of the change; set by the files of conf/ablation
    llm: LLMConfig = field(default_factory=LLMConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    confirm: ConfirmConfig = field(default_factory=ConfirmConfig)
    novelty: NoveltyConfig = field(default_factory=NoveltyConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    tune: TuneConfig = field(default_factory=TuneConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)

    def writer(self) -> str:
        """Return who writes the deltas: the name of the LLM, or of what stands for it."""
        kind = self.proposer.name
        return self.llm.name if kind is ProposerKind.llm else kind.value

    def template(self) -> str:
        """Return the user turn's template: for deltas, or for whole networks."""
        return self.llm.full_prompt if self.generation is Generation.full else self.llm.prompt

    def new_tokens(self) -> int:
        """Return the tokens of the longest answer: a delta, or a whole network."""
        full = self.generation is Generation.full
        return self.llm.full_max_new_tokens if full else self.llm.max_new_tokens
