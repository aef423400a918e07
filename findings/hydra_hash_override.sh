#!/usr/bin/env bash
# hydra-core 1.3.8, omegaconf 2.3.1: an override of a field declared as str changes one short hash
# in 65.
#
# An expert would expect: `commit: str` in a structured config makes `commit=12e4567` on the
#   command line the string "12e4567"; the declared type decides.
# Seen: the command line is read first, without the type. Digits with one e are a float and 12e4567
#   overflows to "inf"; 7e3 gives "7000.0" and 2026_11 "202611", without a word. 0012 stays as it
#   is. Of 20,000 random seven-digit hashes 1.5 % become another string. In a YAML file the same
#   text meets other rules again: there 0012 is 10 and 1:30 is 90.
# Why it matters: networks, commits and runs are named by hashes. A sweep over such names runs most
#   of them as asked and a few as "inf". Quotes inside the argument, 'commit="12e4567"', help.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet hydra-core==1.3.8 omegaconf==2.3.1
"$work/venv/bin/python" - <<'PY' | tee "$work/seen"
import random
from dataclasses import dataclass

from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf


@dataclass
class Run:
    commit: str = ""


ConfigStore.instance().store(name="run", node=Run)
with initialize(version_base="1.3", config_path=None):
    for text in "12e4567", "7e3", "2026_11", "0012", '"12e4567"':
        print(f"commit={text} gives {compose('run', overrides=[f'commit={text}']).commit!r}")
    draw, parser = random.Random(0), OverridesParser.create()
    hashes = [f"{draw.getrandbits(28):07x}" for _ in range(20_000)]
    changed = sum(str(parser.parse_override(f"commit={text}").value()) != text for text in hashes)
    print(f"{changed / len(hashes):.2%} of random seven-digit hashes are changed")
print("in a file:", OmegaConf.merge(OmegaConf.structured(Run), OmegaConf.create("commit: 0012")),
      OmegaConf.merge(OmegaConf.structured(Run), OmegaConf.create("commit: 1:30")))
PY
diff - "$work/seen" <<'EXPECTED'
commit=12e4567 gives 'inf'
commit=7e3 gives '7000.0'
commit=2026_11 gives '202611'
commit=0012 gives '0012'
commit="12e4567" gives '12e4567'
1.53% of random seven-digit hashes are changed
in a file: {'commit': '10'} {'commit': '90'}
EXPECTED
