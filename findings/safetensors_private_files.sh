#!/usr/bin/env bash
# safetensors 0.8.0: save_file writes files that only their owner can read, and replaces what stood
# there; 0.7.0 did neither.
#
# An expert would expect: a file gets the mode that the umask leaves, as from open(), torch.save and
#   numpy.save; a file that exists keeps its mode and its other names (hard links), as its bytes are
#   written over.
# Seen: with umask 022 a new file has mode 0600. One that existed with mode 0664 has 0600 afterwards
#   and is another file (another inode): a hard link to it still shows the old bytes. 0.7.0 gives
#   0644, keeps 0664, and writes into the same file. Saving atomically is a gain; nothing tells of
#   the mode.
# Why it matters: PEFT and transformers save through it. After an update a colleague, a server that
#   runs as another user, or a group on a cluster cannot load adapters and checkpoints any more, and
#   caches that share files by hard links no longer do.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/save.py" <<'PY'
import os
import stat
import sys
from importlib.metadata import version

import numpy
from safetensors.numpy import save_file

os.chdir(sys.argv[1])
os.umask(0o022)
tensors = {"weight": numpy.zeros(3, numpy.float32)}


def mode(name):
    return f"{stat.S_IMODE(os.stat(name).st_mode):04o}"


save_file(tensors, "new.safetensors")
with open("old.safetensors", "wb") as file:
    file.write(b"before")
os.chmod("old.safetensors", 0o664)
os.link("old.safetensors", "link.safetensors")
save_file(tensors, "old.safetensors")
print(f"safetensors {version('safetensors')}: a new file {mode('new.safetensors')};",
      f"one of 0664 written over {mode('old.safetensors')},",
      "the same file" if os.path.samefile("old.safetensors", "link.safetensors") else "another file")
PY
for release in 0.7.0 0.8.0; do
  python3 -m venv "$work/$release"
  "$work/$release/bin/pip" install --quiet "safetensors==$release" numpy==2.4.6
  mkdir "$work/out-$release"
  "$work/$release/bin/python" "$work/save.py" "$work/out-$release"
done | tee "$work/seen"
diff - "$work/seen" <<'EXPECTED'
safetensors 0.7.0: a new file 0644; one of 0664 written over 0664, the same file
safetensors 0.8.0: a new file 0600; one of 0664 written over 0600, another file
EXPECTED
