"""The proposer of a replay: what a run was answered, without the LLM that answered it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from deltanas.records import Baseline, Proposal


class RecordedProposer:
    """Repeats the proposals of a run; implements `Proposer`.

    An LLM's context left some baselines out, which only its tokenizer can tell: `unfit` names
    those of the archive by dataset, and of candidates that joined the pool those fit that are in
    `parents`, pairs of dataset and baseline, as every one that was drawn was edited.
    """

    def __init__(
        self,
        proposals: Mapping[int, Proposal],  # by the seed of their slot
        *,
        unfit: Mapping[str, frozenset[str]],
        parents: frozenset[tuple[str, str]],
    ) -> None:
        self._proposals, self._unfit, self._parents = proposals, unfit, parents

    def fits(self, baseline: Baseline, dataset: str) -> bool:
        """Return whether the run's proposer could take this baseline."""
        if baseline.parent_id is not None:
            return (dataset, baseline.baseline_id) in self._parents
        return baseline.baseline_id not in self._unfit[dataset]

    def count_tokens(self, text: str) -> int | None:
        """Return None: the tokenizer is the LLM's."""
        return None

    def propose(
        self,
        baselines: Sequence[Baseline],
        datasets: Sequence[str],
        seeds: Sequence[int],
        on_reply: Callable[[], None] = lambda: None,
    ) -> list[Proposal]:
        """Return what was recorded for each seed; nothing where the run broke off before it."""
        return [
            self._proposals.get(seed)
            or Proposal(
                prompt="", reply="", prompt_tokens=0, output_tokens=0, seconds=0.0, seed=seed
            )
            for seed in seeds
        ]
