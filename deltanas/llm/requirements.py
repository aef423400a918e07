"""What an LLM asks of the machine: memory and disk, estimated before anything is loaded.

The figures are upper bounds: every prompt fills the context and every answer its limit.
"""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30
GB = 10**9
FLOAT = 4  # bytes; adapters, their gradients and the optimizer's states are float32
# 4 bits, and 0.127 bits of quantization constants (QLoRA, arXiv 2305.14314, section 3)
NF4 = (4 + 0.127) / 8  # bytes a weight
# What autograd keeps of one layer of a Llama with LoRA on all seven linear layers, a token:
# (bytes per hidden unit, bytes per MLP unit), by the bytes of a weight. Measured with
# torch.autograd.graph.saved_tensors_hooks; tests/llm/test_requirements.py measures again.
KEPT = {2: (54, 13), 4: (73, 21)}
BACKWARD = (
    1.5  # kept values of the layer in hand plus their gradients, as a multiple of the former
)
RUNTIME = GIB  # CUDA context, kernels' workspaces, rounding of the allocator: an allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of a causal LM that its memory depends on."""

    parameters: int
    packable: int  # weights of linear layers, without the output embedding: what nf4 packs
    adapted: int  # inputs plus outputs of all layers that LoRA adapts
    layers: int
    hidden: int
    intermediate: int  # width of the MLP
    vocabulary: int
    cached: int  # values that one token leaves in the KV cache, all layers
    positions: int | None  # longest sequence; None: not limited


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a run asks of its LLM."""

    width: int  # bytes of a weight and of an activation: 2 or 4
    packed: bool  # weights in nf4
    batch: int  # replies at once
    context: int  # tokens of prompt and answer together
    max_new_tokens: int
    cycles: int
    rank: int  # of LoRA; 0: no tuning
    tune_batch: int  # pairs a forward pass
    checkpointing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Bytes."""

    weights: int
    cache: int  # KV cache of one batch at full context
    generating: int  # cache and activations of the prompts
    adapter: int  # LoRA weights; also the size of one saved adapter
    tuning: int  # gradients, optimizer states, activations and logits, beside both weights
    adapters_on_disk: int  # one a cycle

    @property
    def memory(self) -> int:
        """Return the peak: generating and tuning take turns beside the weights."""
        return self.weights + self.adapter + max(self.generating, self.tuning) + RUNTIME

    def text(self, place: str, download: int) -> str:
        """Return one line for the terminal; `download` is in bytes."""
        parts = [f"weights {self.weights / GIB:.1f}", f"KV cache {self.cache / GIB:.1f}"]
        if self.adapter:
            lora = self.adapter + self.tuning
            parts.append(f"LoRA with its training {lora / GIB:.1f}")
        return (
            f"{self.memory / GIB:.1f} GiB of {place} memory ({', '.join(parts)});"
            f" {download / GB:.1f} GB to download,"
            f" {self.adapters_on_disk / GB:.1f} GB of adapters"
        )


def estimate(sizes: Sizes, task: Task) -> Needs:
    """Return what a task needs of an LLM of these sizes."""
    loose = sizes.parameters - (sizes.packable if task.packed else 0)
    weights = int(loose * task.width + (sizes.parameters - loose) * NF4)
    cache = task.batch * task.context * sizes.cached * task.width
    adapter = FLOAT * task.rank * sizes.adapted
    return Needs(
        weights=weights,
        cache=cache,
        generating=cache + _prefill(sizes, task),
        adapter=adapter,
        tuning=_tuning(sizes, task, adapter) if task.rank else 0,
        adapters_on_disk=adapter * task.cycles,
    )


def _prefill(sizes: Sizes, task: Task) -> int:
    """Return the bytes that one layer holds while it reads a batch of prompts.

    Gate, up and their product; residual, its norm, and keys and values repeated for every head;
    the attention mask as booleans and as numbers.
    """
    prompt = max(1, task.context - task.max_new_tokens)
    token = (4 * sizes.hidden + 3 * sizes.intermediate) * task.width
    return task.batch * prompt * (token + task.context * (1 + task.width))


def _tuning(sizes: Sizes, task: Task, adapter: int) -> int:
    """Return the bytes of LoRA training beside LLM and adapter.

    Of the adapter: gradients, two AdamW moments, and the copy that a bad cycle goes back to. Of
    the answers' logits: themselves and their gradient, in float32 too, and the softmax. With
    checkpointing every layer keeps its input only and one is computed again at a time (Chen et
    al., arXiv 1604.06174).
    """
    tokens = task.tune_batch * task.context
    per_hidden, per_intermediate = KEPT[task.width]
    layer = per_hidden * sizes.hidden + per_intermediate * sizes.intermediate
    kept = sizes.layers * (sizes.hidden * task.width if task.checkpointing else layer)
    logits = task.tune_batch * task.max_new_tokens * sizes.vocabulary
    return 4 * adapter + int(tokens * (kept + BACKWARD * layer)) + logits * (2 * task.width + 12)
