"""Gates that never execute candidate code: extraction, application, policy, duplicates, novelty."""

from deltanas.screen.delta import DeltaError, apply_delta, extract_delta

__all__ = ["DeltaError", "apply_delta", "extract_delta"]
