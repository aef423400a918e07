#!/usr/bin/env bash
# nn-dataset 2.1.2 (LEMUR): the same program under two names scores as differently as two programs.
#
# An expert would expect: the table of accuracies tells good networks from bad ones, so two
#   networks whose syntax trees are equal (they differ in comments and layout only) have about the
#   same best accuracy after one epoch.
# Seen: 410 trees occur under two to nine names. On CIFAR-10 the best accuracies of two such twins
#   are 8 points apart (median of 301 pairs); those of two networks of the same set with different
#   trees are 9 points apart. The other five datasets look alike, CelebA least. On MNIST two
#   names of one program are .84 apart.
# Why: each network was tried a few times, each time with other hyperparameters, and the draw
#   decides the accuracy.
# Why it matters: whoever pairs networks by accuracy ("this edit improved that network") learns
#   from edits of comments; who splits networks at random into training and test has the same
#   program in both.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" download --quiet --no-deps --dest "$work" nn-dataset==2.1.2
"$work/venv/bin/python" - "$work"/nn_dataset-*.whl <<'PY' | tee "$work/seen"
import ast, collections, itertools, json, random, statistics, sys, zipfile

DATASETS = "cifar-10", "cifar-100", "mnist", "svhn", "imagenette", "celeba-gender"
wheel = zipfile.ZipFile(sys.argv[1])
twins, best = collections.defaultdict(list), {}
for name in wheel.namelist():
    if name.startswith("ab/nn/nn/") and name.endswith(".py") and not name.endswith("__init__.py"):
        twins[ast.dump(ast.parse(wheel.read(name)))].append(name.split("/")[-1][:-3])
    elif name.startswith("ab/nn/stat/train/img-classification_") and name.endswith("/1.json"):
        _, dataset, _, network = name.split("/")[4].split("_", 3)
        for trial in json.loads(wheel.read(name)):
            best[dataset, network] = max(trial["accuracy"], best.get((dataset, network), 0))
twins = [names for names in twins.values() if len(names) > 1]
print(len(twins), "trees under", sum(map(len, twins)), "names")
draw = random.Random(0)
for dataset in DATASETS:
    groups = [[best[dataset, n] for n in names if (dataset, n) in best] for names in twins]
    same = [abs(a - b) for group in groups for a, b in itertools.combinations(group, 2)]
    groups = [group for group in groups if group]
    other = []
    for _ in range(50_000):  # two trees by the number of their names, then a name of each
        one, two = draw.choices(groups, weights=map(len, groups), k=2)
        if one is not two:
            other.append(abs(draw.choice(one) - draw.choice(two)))
    print(f"{dataset}: {len(same)} pairs of twins, median gap {statistics.median(same):.3f},"
          f" widest {max(same):.2f}; two different trees {statistics.median(other):.2f}")
PY
diff - "$work/seen" <<'EXPECTED'
410 trees under 994 names
cifar-10: 301 pairs of twins, median gap 0.079, widest 0.45; two different trees 0.09
cifar-100: 268 pairs of twins, median gap 0.035, widest 0.18; two different trees 0.04
mnist: 291 pairs of twins, median gap 0.009, widest 0.84; two different trees 0.01
svhn: 301 pairs of twins, median gap 0.181, widest 0.68; two different trees 0.21
imagenette: 249 pairs of twins, median gap 0.042, widest 0.25; two different trees 0.05
celeba-gender: 283 pairs of twins, median gap 0.057, widest 0.35; two different trees 0.09
EXPECTED
