"""Gates that never execute candidate code: delta, policy, duplicates, novelty."""

from deltanas.screen.delta import DeltaError, apply_delta, canonical_delta, extract_delta
from deltanas.screen.duplicates import Duplicates
from deltanas.screen.policy import PolicyError, check_network, check_policy

# novelty is imported where it is used: datasketch brings scipy, which takes a while
__all__ = [
    "DeltaError",
    "Duplicates",
    "PolicyError",
    "apply_delta",
    "canonical_delta",
    "check_network",
    "check_policy",
    "extract_delta",
]
