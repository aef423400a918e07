"""What the LLM is tuned on (pure), for what, and LoRA on it (Lightning and PEFT).

Only the pure half is imported here; `deltanas.tune.lora` brings torch, PEFT and Lightning.
"""

from deltanas.tune.curation import Pair, curate, draw, split

__all__ = ["Pair", "curate", "draw", "split"]
