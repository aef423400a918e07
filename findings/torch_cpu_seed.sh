#!/usr/bin/env bash
# torch 2.15.0 (2.13.0 does the same): on a CPU only the lower 32 bits of a seed count.
#
# An expert would expect: manual_seed takes 64 bits, initial_seed() and the saved state give 64
#   bits back, so different 64-bit seeds are different streams, as they are with numpy and with
#   Python's random.
# Seen: seeds s and s + 2**32 draw the same numbers; -1 and 2**32 - 1 too, and initial_seed() tells
#   them apart all the same. Of 200,000 different seeds of 63 bits from SHA-256, as one derives
#   them from (seed, cycle, slot), six have a stream that an earlier one had; with all bits in use
#   there would be none.
# Why it matters: a seed that packs (cycle << 32 | slot) repeats the same weights in every cycle.
#   Seeds from a hash are fine by the thousand, but from about 80,000 on two that are the same are
#   likelier than not.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv" torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY' | tee "$work/seen"
import collections, hashlib, random
import numpy as np
import torch


def stream(seed):
    return torch.randint(2**62, (2,), generator=torch.Generator().manual_seed(seed)).tolist()


for one, other in (1, 1 + 2**32), (-1, 2**32 - 1), (1, 1 + 2**31):
    print(f"{one} and {other}: {'the same' if stream(one) == stream(other) else 'different'}")
print("initial_seed():", torch.Generator().manual_seed(1 + 2**32).initial_seed())
print("random and numpy, 1 and 1 + 2**32:", random.Random(1).random() == random.Random(1 + 2**32).random(),
      np.random.default_rng(1).random() == np.random.default_rng(1 + 2**32).random())
seeds = [int.from_bytes(hashlib.sha256(f"7/{n}".encode()).digest()[:8]) >> 1 for n in range(200_000)]
streams = collections.Counter(tuple(stream(seed)) for seed in seeds)
print(f"{len(set(seeds))} seeds of 63 bits, {len(streams)} streams")
PY
diff - "$work/seen" <<'EXPECTED'
1 and 4294967297: the same
-1 and 4294967295: the same
1 and 2147483649: different
initial_seed(): 4294967297
random and numpy, 1 and 1 + 2**32: False False
200000 seeds of 63 bits, 199994 streams
EXPECTED
