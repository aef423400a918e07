#!/usr/bin/env bash
# unidiff 1.0.1: a hunk with more lines than its header says loses the rest without an error.
#
# An expert would expect: a strict parser of unified diffs refuses a hunk whose counts are wrong,
#   in both directions; it does refuse one that is too short.
# Seen: `@@ -1,1 +1,1 @@` above one context line and a change parses as a file with nothing added
#   and nothing removed; of three additions under `+1,2` one is kept. What is over lands nowhere,
#   not even among the trailing lines.
# Why it matters: LLMs count badly. With counts too high a reply is refused and is seen in the
#   statistics; with counts too low it is applied in part or not at all, is valid, and counts as a
#   network that the model meant to write. Recount hunks before parsing, or compare the parsed
#   lines with the text.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet unidiff==1.0.1
"$work/venv/bin/python" - <<'PY' | tee "$work/seen"
from unidiff import PatchSet, UnidiffParseError


def parsed(title, body, header):
    text = f"--- a.py\n+++ a.py\n{header}\n{body}"
    try:
        patch = PatchSet(text)
    except UnidiffParseError as error:
        print(f"{title}: refused, {str(error).strip()}")
        return
    kept = [str(line) for file in patch for hunk in file for line in hunk]
    print(f"{title}: {patch.added} added, {patch.removed} removed, lost {text.count(chr(10)) - 3 - len(kept)} lines")


change = " a = 1\n-b = 2\n+b = 3\n"
parsed("counts right", change, "@@ -1,2 +1,2 @@")
parsed("counts too high", change, "@@ -1,3 +1,3 @@")
parsed("counts too low", change, "@@ -1,1 +1,1 @@")
parsed("three additions, two counted", " a = 1\n+b = 2\n+c = 3\n+d = 4\n", "@@ -1,1 +1,3 @@")
parsed("a second hunk follows", change + "@@ -9,1 +9,1 @@\n-x = 1\n+x = 2\n", "@@ -1,1 +1,1 @@")
PY
diff - "$work/seen" <<'EXPECTED'
counts right: 1 added, 1 removed, lost 0 lines
counts too high: refused, Hunk is shorter than expected
counts too low: 0 added, 0 removed, lost 2 lines
three additions, two counted: 2 added, 0 removed, lost 1 lines
a second hunk follows: refused, Unexpected hunk found: @@ -9,1 +9,1 @@
EXPECTED
