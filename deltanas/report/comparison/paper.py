"""What arXiv 2605.04903 reports, and why its figures are not ours: the only place with them.

Source: Ignatov, Timofte, Adhikari, "Delta-Based Neural Architecture Search: LLM Fine-Tuning via
Code Diffs", arXiv 2605.04903 (2026): its abstract, and for what is not in there a reader's notes
of its 19 pages, as the pages themselves were not at hand. Full generation is the control that the
paper takes from arXiv 2601.02997 (DeepSeek-Coder-7B, CIFAR-10).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deltanas.report.comparison.grouping import CONTROL, FULL_GENERATION, NO_ABLATION
from deltanas.report.comparison.groups import GroupKey
from deltanas.report.metrics import wilson_interval

WHOLE_NETWORK_LINES = 200  # the paper says "200+" for whole networks: a lower bound
ATTEMPTS = 1100  # of one LLM: 22 cycles x 50 candidates
GPU_HOURS = (28, 35)  # of one LLM
FREE_DECODING = "free_decoding"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """One row of the paper. Rates and accuracies in [0, 1]; None: not reported."""

    name: str
    valid_rate: float
    mean_accuracy: float  # first epoch, over trained candidates; several datasets pooled
    best_cifar10: float  # first epoch
    delta_lines: float | None = None  # lines of the emitted delta
    admitted: int | None = None  # passed the accuracy gate of 0.40 and the novelty gate
    spearman_rho: float | None = None
    spearman_n: int | None = None
    attempted: int | None = None
    gpu_hours: tuple[int, int] | None = None  # of an RTX 4090, from and to

    @property
    def valid(self) -> int | None:
        """Valid attempts, as the rate says; the three add up to the paper's total of 2,354."""
        return None if self.attempted is None else round(self.valid_rate * self.attempted)

    @property
    def valid_interval(self) -> tuple[float | None, float | None]:
        """Wilson's 95 % interval, which the paper does not give."""
        if self.attempted is None or self.valid is None:
            return None, None
        return wilson_interval(self.valid, self.attempted)

    @property
    def useful_rate(self) -> float | None:
        """Admitted candidates by attempts."""
        if self.attempted is None or self.admitted is None:
            return None
        return self.admitted / self.attempted

    @property
    def reduction_lines(self) -> float | None:
        """Lines saved against whole networks of 200 lines."""
        return None if self.delta_lines is None else 1 - self.delta_lines / WHOLE_NETWORK_LINES


DELTA_ROWS: Mapping[str, PaperRow] = {
    "deepseek": PaperRow(
        name="DeepSeek 7B",  # DeepSeek-Coder-7B-Instruct-v1.5
        attempted=ATTEMPTS,
        gpu_hours=GPU_HOURS,
        valid_rate=0.753,
        mean_accuracy=0.658,
        best_cifar10=0.852,
        delta_lines=30.4,
        admitted=88,
        spearman_rho=0.495,
        spearman_n=12,
    ),
    "qwen": PaperRow(
        name="Qwen 7B",  # Qwen2.5-Coder-7B-Instruct
        attempted=ATTEMPTS,
        gpu_hours=GPU_HOURS,
        valid_rate=0.721,
        mean_accuracy=0.646,
        best_cifar10=0.806,
        delta_lines=31.4,
        admitted=51,
        spearman_rho=0.635,
        spearman_n=15,
    ),
    "mistral": PaperRow(
        name="Mistral 7B",  # Mistral-7B-Instruct-v0.3
        attempted=ATTEMPTS,
        gpu_hours=GPU_HOURS,
        valid_rate=0.666,
        mean_accuracy=0.661,
        best_cifar10=0.855,
        delta_lines=49.5,
        admitted=68,
        spearman_rho=0.926,
        spearman_n=16,
    ),
}
FULL_ROWS: Mapping[str, PaperRow] = {
    "deepseek": PaperRow(
        name="DeepSeek 7B, full",
        valid_rate=0.506,
        mean_accuracy=0.423,
        best_cifar10=0.6398,
    ),
}


_ALWAYS = (
    "Its gates and finalists are chosen by test accuracy, which leans its accuracies upwards; ours"
    " are chosen on a validation split, and test accuracy is only reported.",
    "It counts infrastructure failures as invalid: hold its rate against our valid rate, not"
    " against the one without infrastructure.",
    "It ran one seed. The interval at its valid rate is Wilson's for 1,100 attempts, computed"
    " here; the deviations in its tables are those of cycle means, not of seeds.",
    "Its useful rate is admitted by attempted: accuracy of at least 0.40 on whatever dataset, and"
    " novel. Its best accuracy is on CIFAR-10, from 112 to 135 networks for an LLM.",
    "Its rho is over the 20 best by first-epoch accuracy that finished, with datasets mixed"
    " (Mistral: MNIST, CelebA, SVHN); ours is within a dataset.",
    "It gives whole networks as 200+ lines, from which its reduction follows, and estimates tokens"
    " from lines; ours are counted. Its cost is 28 to 35 hours of an RTX 4090 for an LLM, with 15"
    " to 20 minutes of tuning and 60 to 90 of evaluation for a cycle.",
    "Its figures here are second-hand: from the abstract and a reader's notes.",
)
_FULL = (
    "Its full generation is an earlier study (arXiv 2601.02997): CIFAR-10 only, networks of at"
    " most 500,000 parameters, T 0.20, 5 LoRA epochs, another corpus than the delta runs."
)


def paper_row(key: GroupKey) -> PaperRow | None:
    """Return the row to show beside a group, or None where the paper ran nothing like it."""
    if key.ablation == FULL_GENERATION:
        return FULL_ROWS.get(key.llm)
    return DELTA_ROWS.get(key.llm) if key.ablation in (NO_ABLATION, FREE_DECODING) else None


def caveats(keys: Sequence[GroupKey]) -> list[str]:
    """Return, in sentences, what keeps these groups and the paper's rows from being equal."""
    beside = [key for key in keys if paper_row(key)]
    strangers = sorted({key.llm for key in keys} - {CONTROL, *DELTA_ROWS})
    notes = []
    if strangers:
        notes.append(
            f"The paper has no row for {', '.join(strangers)}: it ran three LLMs of 7 billion"
            " parameters (deepseek, qwen, mistral), and its figures say nothing about others."
        )
    if not beside:
        return notes
    datasets = sorted({key.dataset for key in beside} - {"six"})
    if datasets:
        notes.append(
            "The paper pools the attempts of six datasets (CIFAR-10, CIFAR-100, MNIST, SVHN,"
            f" ImageNette, CelebA) in one figure. On one dataset ({', '.join(datasets)}) our"
            " accuracies cannot be compared with its at all, and valid rates only roughly."
        )
    if any(key.archive != "lemur" for key in beside):
        notes.append("Its baselines come from LEMUR; some of ours here do not.")
    if any(key.protocol != "paper" for key in beside):
        notes.append("It ran 22 cycles x 50 candidates for an LLM; ours ran another protocol.")
    if any(key.ablation == NO_ABLATION and key.protocol != "paper" for key in beside):
        notes.append(
            "Its LLMs wrote freely. With locked decoding, our default, a finished delta always"
            " applies; ablation=free_decoding is the like of the paper."
        )
    return (
        notes
        + list(_ALWAYS)
        + ([_FULL] if FULL_GENERATION in {k.ablation for k in beside} else [])
    )
