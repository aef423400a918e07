"""Some slots go to operators on earlier deltas, the others to another proposer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random

from deltanas.propose.operators import OPERATORS
from deltanas.propose.proposer import Proposer
from deltanas.propose.random_edit import unified_delta
from deltanas.records import Baseline, Proposal, Request, derive_seed


class MixedProposer:
    """Gives a share of the slots to operators; what they cannot do is the main proposer's.

    Each slot is drawn by its own seed, and so are its operators, which are tried in turn.
    """

    def __init__(self, main: Proposer, *, share: float) -> None:
        """Take `share` of the slots, in [0, 1]."""
        self.main, self.share = main, share

    def fits(self, baseline: Baseline, dataset: str) -> bool:
        """Return whether the main proposer can take this baseline: any slot may come to it."""
        return self.main.fits(baseline, dataset)

    def mends(self, request: Request) -> bool:
        """Return whether the main proposer mends this attempt."""
        return self.main.mends(request)

    def count_tokens(self, text: str) -> int | None:
        """Return the tokens of a text by the main proposer's tokenizer."""
        return self.main.count_tokens(text)

    def propose(
        self,
        requests: Sequence[Request],
        on_reply: Callable[[], None] = lambda: None,
    ) -> list[Proposal]:
        """Return proposal i for request i, drawn with its seed; `on_reply` is told of each."""
        made: list[Proposal | None] = []
        for request in requests:
            made.append(self._operated(request))
            if made[-1]:
                on_reply()
        left = [request for request, done in zip(requests, made, strict=True) if done is None]
        written = iter(self.main.propose(left, on_reply) if left else ())
        return [done or next(written) for done in made]

    def _operated(self, request: Request) -> Proposal | None:
        rng = Random(derive_seed(request.seed, "operators"))
        if request.failed or rng.random() >= self.share:
            return None
        began = time.perf_counter()
        for writer in rng.sample(list(OPERATORS), len(OPERATORS)):
            code = OPERATORS[writer](request, rng)
            if code is not None:
                return Proposal(
                    prompt="",
                    reply=unified_delta(request.slot.baseline.code, code),
                    prompt_tokens=0,
                    output_tokens=0,
                    seconds=time.perf_counter() - began,
                    seed=request.seed,
                    writer=writer,
                )
        return None
