"""The proposer of a replay: it fits what the run's proposer fitted, and answers nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from deltanas.records import Baseline, Proposal, Request


class RecordedProposer:
    """Stands for the LLM of a run whose replies are recorded; implements `Proposer`.

    An LLM's context left some baselines out, which only its tokenizer can tell: `unfit` names
    those of the archive by dataset, and of candidates that joined the pool those fit that are in
    `parents`, pairs of dataset and baseline, as every one that was drawn was edited.
    """

    def __init__(
        self, *, unfit: Mapping[str, frozenset[str]], parents: frozenset[tuple[str, str]]
    ) -> None:
        self._unfit, self._parents = unfit, parents

    def fits(self, baseline: Baseline, dataset: str) -> bool:
        """Return whether the run's proposer could take this baseline."""
        if baseline.parent_id is not None:
            return (dataset, baseline.baseline_id) in self._parents
        return baseline.baseline_id not in self._unfit[dataset]

    def mends(self, request: Request) -> bool:
        """Return False: what was asked to be mended is recorded."""
        return False

    def count_tokens(self, text: str) -> int | None:
        """Return None: the tokenizer is the LLM's."""
        return None

    def propose(
        self, requests: Sequence[Request], on_reply: Callable[[], None] = lambda: None
    ) -> list[Proposal]:
        """Return empty replies: the run broke off before these."""
        return [
            Proposal(
                prompt="",
                reply="",
                prompt_tokens=0,
                output_tokens=0,
                seconds=0.0,
                seed=request.seed,
            )
            for request in requests
        ]
