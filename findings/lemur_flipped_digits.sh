#!/usr/bin/env bash
# nn-dataset 2.1.2 (LEMUR): half of its test accuracies were measured on randomly mirrored images,
# digits too.
#
# An expert would expect: augmentation is for training; an accuracy is measured on the test images
#   as they are, and nobody mirrors digits.
# Seen: the loaders of all six datasets hand one transform to both splits, and for about half of
#   the trials that transform contains RandomHorizontalFlip: 6,196 of 12,886 on MNIST, 6,774 of
#   13,410 on SVHN.
# Why it matters: such an accuracy is itself a random number, not comparable with one of a trial
#   without the flip, and lower where mirrored images are other images (a mirrored 2). A framework
#   that measures on plain test images will not meet these figures, and one that takes the stored
#   transform for its own evaluation mirrors its test images.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" download --quiet --no-deps --dest "$work" nn-dataset==2.1.2
"$work/venv/bin/python" - "$work"/nn_dataset-*.whl <<'PY' | tee "$work/seen"
import ast, collections, json, sys, zipfile

wheel = zipfile.ZipFile(sys.argv[1])


def splits(dataset):
    """What the loader passes as `transform` to each of the sets it opens."""
    calls = [n for n in ast.walk(ast.parse(wheel.read(f"ab/nn/loader/{dataset}.py"))) if isinstance(n, ast.Call)]
    return [ast.unparse(k.value) for call in calls for k in call.keywords if k.arg == "transform"]


flips, flipped, every = {}, collections.Counter(), collections.Counter()
for name in wheel.namelist():
    if name.startswith("ab/nn/transform/") and name.endswith(".py"):
        flips[name.split("/")[-1][:-3]] = b"RandomHorizontalFlip" in wheel.read(name)
for name in wheel.namelist():
    if name.startswith("ab/nn/stat/train/img-classification_") and name.endswith("/1.json"):
        dataset = name.split("/")[4].split("_")[1]
        for trial in json.loads(wheel.read(name)):
            every[dataset] += 1
            flipped[dataset] += flips.get(trial["transform"], False)
for dataset in "mnist", "svhn", "cifar-10", "cifar-100", "imagenette", "celeba-gender":
    print(f"{dataset}: transform of its splits {splits(dataset)}, flipped at random"
          f" {flipped[dataset]} of {every[dataset]} trials")
PY
diff - "$work/seen" <<'EXPECTED'
mnist: transform of its splits ['transform', 'transform'], flipped at random 6196 of 12886 trials
svhn: transform of its splits ['transform', 'transform'], flipped at random 6774 of 13410 trials
cifar-10: transform of its splits ['transform', 'transform'], flipped at random 12250 of 19103 trials
cifar-100: transform of its splits ['transform', 'transform'], flipped at random 5081 of 10268 trials
imagenette: transform of its splits ['transform', 'transform'], flipped at random 5081 of 10122 trials
celeba-gender: transform of its splits ['transform', 'transform'], flipped at random 4125 of 8343 trials
EXPECTED
