#!/usr/bin/env bash
# hydra-core 1.3.8: --help copies every registered config once and more for each group, so that it
# takes many times as long as a run.
#
# An expert would expect: the help of a program costs about what composing its configuration costs,
#   or less, as it lists names and prints one configuration.
# Seen: for each group that it lists, Hydra asks for its options up to three times, and each time
#   copies the whole repository of configs, with every node of the ConfigStore, deeply, to leave
#   it as it is. With 5 options a group of 20 keys each, a run copies each registered node twice,
#   --help 75 times at 5 groups, 100 times at 10 and 150 times at 20. On one machine that took 2.4, 4.7
#   and 13 s of CPU time, at 40 groups 46 s, where a run took 0.3, 0.4, 0.6 and 1.1 s.
# Why it matters: research code registers its options as structured configs, a class each. Its
#   --help, which newcomers type first, looks as if it hung; shell completion goes another way.
#   Options in YAML files are not copied so, but each group still copies all that is registered.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet hydra-core==1.3.8 omegaconf==2.3.1
cat > "$work/app.py" <<'PY'
import copy
import sys
from dataclasses import field, make_dataclass

import hydra
from hydra.core.config_store import ConfigStore, ConfigNode

GROUPS, OPTIONS = int(sys.argv.pop(1)), 5
keys = [(f"key_{number}", int, field(default=number)) for number in range(20)]
node = make_dataclass("Node", keys)
store = ConfigStore.instance()
for group in range(GROUPS):
    for option in range(OPTIONS):
        store.store(group=f"group_{group}", name=f"option_{option}", node=node)
chosen = [{f"group_{group}": "option_0"} for group in range(GROUPS)]
store.store(name="config", node={"defaults": chosen})

copies, ours = 0, {id(n) for g in range(GROUPS) for n in store.repo[f"group_{g}"].values()}


def counted(self, memo):
    global copies
    if id(self) in ours:
        copies += 1
    made = object.__new__(type(self))
    memo[id(self)] = made
    made.__dict__.update({name: copy.deepcopy(value, memo)
                          for name, value in self.__dict__.items()})
    if id(self) in ours:
        ours.add(id(made))
        kept.append(made)
    return made


kept = []
ConfigNode.__deepcopy__ = counted


@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(config):
    pass


try:
    main()
except SystemExit:
    pass
word = "--help" if "--help" in sys.argv else "a run"
print(f"{GROUPS} groups, {GROUPS * OPTIONS} nodes: {word} copies each {copies / GROUPS / OPTIONS:g} times",
      file=sys.stderr)
PY
cd "$work"
for groups in 5 10; do
  for word in "" --help; do
    venv/bin/python app.py "$groups" hydra.run.dir=. hydra.output_subdir=null $word 2>&1 >/dev/null
  done
done | tee "$work/seen"
diff - "$work/seen" <<'EXPECTED'
5 groups, 25 nodes: a run copies each 2 times
5 groups, 25 nodes: --help copies each 75 times
10 groups, 50 nodes: a run copies each 2 times
10 groups, 50 nodes: --help copies each 100 times
EXPECTED
