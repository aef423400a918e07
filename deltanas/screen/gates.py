"""The gates before the jail in their order: from a proposal to a candidate, or why there is none.

No candidate code runs here.
"""

from __future__ import annotations

from deltanas.records import Baseline, Candidate, Proposal, Refused, Verdict
from deltanas.screen.delta import DeltaError, apply_delta, extract_delta
from deltanas.screen.network import extract_network
from deltanas.screen.novelty import NoveltyIndex
from deltanas.screen.policy import PolicyError, check_policy


def screen_proposal(
    name: str, proposal: Proposal, baseline: Baseline, *, whole_network: bool
) -> Candidate | Refused:
    """Return the candidate that a reply stands for: extract, apply, syntax, policy.

    With `whole_network` the reply is a network instead of a delta.
    """
    if proposal.truncated:
        reason = f"the reply was cut after {proposal.output_tokens} tokens"
        return Refused(verdict=Verdict.TRUNCATED, reason=reason)
    delta = code = ""
    try:
        if whole_network:
            code = extract_network(proposal.reply, baseline.code)
        else:
            delta = extract_delta(proposal.reply)
            code = apply_delta(baseline.code, delta)
        check_policy(baseline.code, code)
    except (DeltaError, PolicyError) as error:
        return Refused(verdict=error.verdict, reason=str(error), delta=delta, code=code)
    return Candidate(attempt_id=name, baseline=baseline, delta=delta, code=code)


def refuse_near_duplicate(candidate: Candidate, known: NoveltyIndex) -> Candidate | Refused:
    """Return the candidate, or its refusal where novelty gates training and it is not novel."""
    similarity, nearest = known.similarity(candidate.code)
    if known.is_novel(similarity):
        return candidate
    return Refused(
        verdict=Verdict.NOT_NOVEL,
        reason=f"similarity {similarity:.3f} to {nearest}",
        delta=candidate.delta,
        code=candidate.code,
        novelty=similarity,
    )
