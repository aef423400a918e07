#!/usr/bin/env bash
# numpy 2.4.6: seeds made of several numbers collide as soon as one of them is 0 or large.
#
# An expert would expect: default_rng([seed, cycle, slot]) is a good way to seed many streams, as
#   different tuples give different streams.
# Seen: entropy of fewer than four 32-bit words is filled up with zeros, so 7, [7], [7, 0] and [7,
#   0, 0, 0] are one stream, though [7, 0, 0, 0, 0] is not; and larger numbers are cut into words
#   that run into each other, so [2**32] is [0, 1] and [1 + 2**32 * 5, 2] is [1, 5, 2]. Of all
#   tuples of one to three numbers below 8 nearly a quarter have a stream that another one has.
# Why it matters: in a search the stream of (seed) draws the data, that of (seed, cycle) the
#   parents, that of (seed, cycle, slot) an edit. In cycle 0 and slot 0 all three are the same
#   numbers. spawn_key, which pads first, or a hash of the tuple keep them apart.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6
"$work/venv/bin/python" - <<'PY' | tee "$work/seen"
import collections, itertools
import numpy as np


def first(entropy, **more):
    return int(np.random.default_rng(np.random.SeedSequence(entropy, **more)).integers(2**62))


for one, other in (
    (7, [7, 0]), ([7], [7, 0, 0, 0]), ([7], [7, 0, 0, 0, 0]),
    ([2**32], [0, 1]), ([1 + 2**32 * 5, 2], [1, 5, 2]),
):
    print(f"{one} and {other}: {'the same' if first(one) == first(other) else 'different'}")
tuples = [t for n in (1, 2, 3) for t in itertools.product(range(8), repeat=n)]
streams = collections.Counter(first(t) for t in tuples)
shared = sum(count for count in streams.values() if count > 1)
print(f"{len(tuples)} tuples, {len(streams)} streams, {shared} tuples share theirs")
print("with spawn_key:", len({first(t[0], spawn_key=t[1:]) for t in tuples}), "streams")
PY
diff - "$work/seen" <<'EXPECTED'
7 and [7, 0]: the same
[7] and [7, 0, 0, 0]: the same
[7] and [7, 0, 0, 0, 0]: different
[4294967296] and [0, 1]: the same
[21474836481, 2] and [1, 5, 2]: the same
584 tuples, 512 streams, 136 tuples share theirs
with spawn_key: 584 streams
EXPECTED
