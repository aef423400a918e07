#!/usr/bin/env bash
# torchmetrics 1.9.0 with torch 2.15.0: whether a binary prediction is a logit depends on its
# batch.
#
# An expert would expect: an accuracy over a set does not depend on how the set is cut into
#   batches.
# Seen: each update asks whether any value lies outside [0, 1] and, if so, takes the whole batch
#   through a sigmoid. A logit of 0.3 counts as class 1 beside a logit of 1.1 and as class 0 beside
#   one of 0.9. The same 4,096 logits of a head that has learned little give .625 in one batch,
#   .609 in batches of 2, .580 one at a time; the area under the curve falls from .672 to .595, as
#   probabilities of one batch are ranked among logits of another.
# Why it matters: two classes with one output are an ordinary dataset here (CelebA gender), heads
#   are near 0 in the first epoch, and the batch size is a hyperparameter that is searched; it then
#   moves the measure itself. Pass probabilities, or give the head two outputs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv" torch==2.15.0 torchmetrics==1.9.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY' | tee "$work/seen"
import torch
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC


def measured(metric, logits, targets, size):
    for one, other in zip(logits.split(size), targets.split(size)):
        metric.update(one, other)
    return metric.compute().item()


one = torch.ones(2, dtype=torch.long)
for logits in [0.3, 0.9], [0.3, 1.1]:
    print(f"logits {logits}, both of class 1: accuracy {BinaryAccuracy()(torch.tensor(logits), one).item()}")
draw = torch.Generator().manual_seed(0)
targets = torch.randint(2, (4096,), generator=draw)
logits = 0.6 * torch.randn(4096, generator=draw) + 0.4 * (targets - 0.5)  # a head that has learned little
for size in 4096, 64, 8, 2, 1:
    accuracy, area = (measured(metric(), logits, targets, size) for metric in (BinaryAccuracy, BinaryAUROC))
    print(f"batches of {size}: accuracy {accuracy:.3f}, area under the curve {area:.3f}")
PY
diff - "$work/seen" <<'EXPECTED'
logits [0.3, 0.9], both of class 1: accuracy 0.5
logits [0.3, 1.1], both of class 1: accuracy 1.0
batches of 4096: accuracy 0.625, area under the curve 0.672
batches of 64: accuracy 0.625, area under the curve 0.672
batches of 8: accuracy 0.624, area under the curve 0.671
batches of 2: accuracy 0.609, area under the curve 0.640
batches of 1: accuracy 0.580, area under the curve 0.595
EXPECTED
