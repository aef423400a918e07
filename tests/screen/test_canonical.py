"""Canonical deltas: git, patch, unidiff and `apply_delta` make the same file of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from io import StringIO
from itertools import combinations, permutations, zip_longest
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unidiff import PatchSet

from deltanas.archive.builtin_archive import NETWORKS, source
from deltanas.propose.hunks import Excerpt, UnplacedHunkError, compact_delta, number_hunks
from deltanas.propose.random_edit import EditError, random_edit
from deltanas.screen import DeltaError, apply_delta, canonical_delta
from deltanas.source import fingerprint
from tests.lemur_fixtures import NETWORK

Apply = Callable[[str, str], str]


def by_command(*command: str) -> Apply:
    def apply(before: str, delta: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "baseline.py")
            path.write_bytes(before.encode())
            above = {"GIT_CEILING_DIRECTORIES": str(path.parent.parent)}
            subprocess.run(
                command,
                cwd=folder,
                input=delta.encode(),
                env={**os.environ, **above},
                capture_output=True,
                check=True,
            )
            assert [each.name for each in path.parent.iterdir()] == [path.name]
            return path.read_bytes().decode()

    return apply


def by_unidiff(before: str, delta: str) -> str:
    lines = list(StringIO(before))
    (file,) = PatchSet(delta)
    assert (file.source_file, file.target_file) == ("a/baseline.py", "b/baseline.py")
    for hunk in reversed(file):
        new: list[str] = []
        for row, below in zip_longest(hunk, hunk[1:]):
            if row.is_added or row.is_context:
                ended = below is None or below.line_type != "\\"
                new.append(row.value if ended else row.value.removesuffix("\n"))
        start = hunk.source_start - (hunk.source_length > 0)
        assert [r.value.rstrip("\n") for r in hunk.source_lines()] == [
            line.rstrip("\n") for line in lines[start : start + hunk.source_length]
        ]
        lines[start : start + hunk.source_length] = new
    return "".join(lines)


def tree(code: str) -> str | None:
    try:
        return fingerprint(code)
    except SyntaxError:
        return None


def installed(command: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(command) is None, reason=f"{command} is not installed")


TOOLS = pytest.mark.parametrize(
    "apply",
    [
        pytest.param(by_command("git", "apply", "-"), marks=installed("git"), id="git"),
        pytest.param(by_command("patch", "-p1"), marks=installed("patch"), id="patch"),
        pytest.param(by_unidiff, id="unidiff"),
        pytest.param(apply_delta, id="apply_delta"),
    ],
)


@TOOLS
@settings(max_examples=60)
@given(stem=st.sampled_from(sorted(NETWORKS)), seed=st.integers(0, 999))
def test_random_edits(apply: Apply, stem: str, seed: int) -> None:
    before = source(stem)
    try:
        after = random_edit(before, Random(seed))
    except EditError:
        return
    assert apply(before, canonical_delta(before, after)) == after


PAIRS = [
    (one, other)
    for one, other in combinations(sorted(NETWORKS), 2)
    if NETWORKS[one].family == NETWORKS[other].family
    or one.partition("_")[0] == other.partition("_")[0]
]


@TOOLS
def test_networks_of_one_family(apply: Apply) -> None:
    assert PAIRS
    for pair in PAIRS:
        before, after = map(source, pair)
        assert apply(before, canonical_delta(before, after)) == after
        assert apply(after, canonical_delta(after, before)) == before


LEMUR = sorted({NETWORK.replace("WIDTH", width) for width in ("10", "30")}) + [
    NETWORK.replace("import torch\n", "import einops\nimport torch\n"),
    NETWORK.replace("def learn", "def study").removesuffix("\n"),
    NETWORK.replace("\n", "\r\n"),
]


@TOOLS
def test_networks_of_lemur(apply: Apply) -> None:
    for before, after in permutations(LEMUR, 2):
        if before.replace("\r", "") != after.replace("\r", ""):
            assert apply(before, canonical_delta(before, after)) == after.replace(
                "\r\n", "\n" if apply is apply_delta else "\r\n"
            )


@TOOLS
@settings(max_examples=15)
@given(stem=st.sampled_from(sorted(NETWORKS)), seed=st.integers(0, 999))
def test_what_an_llm_wrote(apply: Apply, stem: str, seed: int) -> None:
    """Its hunks have no context below them, and its numbers may be wrong."""
    before = source(stem)
    try:
        after = random_edit(before, Random(seed))
        view = Excerpt.of(before, frozenset(), hide_frozen=False)
        written = number_hunks(view, compact_delta(view, after))
    except (EditError, UnplacedHunkError):
        return
    wrong = re.sub(r"(?m)^@@ -([0-9]+),[0-9]+ .*", r"@@ -\1,99 +1,99 @@", written)
    for delta in (written, wrong):
        code = apply_delta(before, delta)
        assert apply(before, canonical_delta(before, code)) == code


LINES = st.lists(
    st.sampled_from(
        [
            "x = 1",
            "y = x ",
            "    -- y",
            "-- y",
            "++ y",
            "- z",
            "",
            " ",
            "\t",
            "@@",
            "@@ -1,2 +1,2 @@",
            "\\ No newline at end of file",
            "diff --git a/b b/b",
            "Index: z",
            "'\x0c\u2028\x85\r'",
        ]
    ),
    max_size=24,
)


@TOOLS
@given(before=LINES, after=LINES, ends=st.tuples(st.sampled_from(["\n", ""]), st.booleans()))
def test_any_text_with_and_without_a_last_newline(
    apply: Apply, before: list[str], after: list[str], ends: tuple[str, bool]
) -> None:
    one = "".join(f"{line}\n" for line in before).removesuffix("\n") + ends[0] * bool(before)
    other = "".join(f"{line}\n" for line in after)
    other = other.removesuffix("\n") if ends[1] else other
    delta = canonical_delta(one, other)
    if one == other:
        assert delta == ""
    elif apply is apply_delta and tree(one) == tree(other) is not None:
        with pytest.raises(DeltaError, match="syntax tree"):
            apply_delta(one, delta)
    else:
        assert apply(one, delta) == other


def test_it_is_what_git_diff_writes() -> None:
    before = "".join(f"x{i} = {i}\n" for i in range(9))
    assert canonical_delta(before, before.replace("x4 = 4", "x4 = 5").removesuffix("\n")) == (
        "--- a/baseline.py\n+++ b/baseline.py\n@@ -2,8 +2,8 @@\n x1 = 1\n x2 = 2\n x3 = 3\n"
        "-x4 = 4\n+x4 = 5\n x5 = 5\n x6 = 6\n x7 = 7\n-x8 = 8\n+x8 = 8\n"
        "\\ No newline at end of file\n"
    )
