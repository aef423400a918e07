"""Random edits as a whole: every built-in network, the frozen lines, determinism, the delta."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

import deltanas
from deltanas.propose.random_edit import OPERATORS, EditError, random_edit, unified_delta
from deltanas.source import fingerprint, frozen_lines, strip_comments

BUILTIN = sorted((Path(deltanas.__file__).parent / "archive" / "builtin").glob("[a-z]*.py"))

NETWORK = """\
import torch.nn as nn
class Net(nn.Module):
    def train_setup(self, prm):
        self.hidden = nn.Conv2d(32, 64, kernel_size=3, padding=1)
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_shape[1], 32, kernel_size=3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((6, 6)),
            nn.Flatten(),
        )
        self.head = nn.Linear(32 * 6 * 6, out_shape[0])
    def forward(self, x):
        return self.head(self.features(x))
"""


@pytest.mark.parametrize("path", BUILTIN, ids=lambda path: path.stem)
def test_edited_networks_parse_differ_and_keep_the_frozen_lines(path: Path) -> None:
    code = strip_comments(path.read_text())
    for seed in range(6):
        edited = random_edit(code, Random(seed))
        assert fingerprint(edited) != fingerprint(code)
        assert frozen_text(edited) == frozen_text(code)
        assert imports(edited) == imports(code)
        assert random_edit(code, Random(seed)) == edited


def changed_lines(before: str, after: str) -> int:
    return sum(line[0] in "+-" for line in unified_delta(before, after).splitlines()[2:])


def frozen_text(code: str) -> list[str]:
    lines = code.splitlines()
    return [lines[number - 1] for number in sorted(frozen_lines(code))]


def imports(code: str) -> list[str]:
    return [line for line in code.splitlines() if re.match(r"\s*(import|from) ", line)]


def test_number_of_operators_is_respected() -> None:
    edits = [random_edit(NETWORK, Random(seed), operators=6) for seed in range(5)]
    singles = [random_edit(NETWORK, Random(seed), operators=1) for seed in range(5)]
    size = [changed_lines(NETWORK, e) for e in (*edits, *singles)]
    assert sum(size[:5]) > sum(size[5:])


def test_no_operator_applies() -> None:
    with pytest.raises(EditError, match="no operator changed the network"):
        random_edit("class Net:\n    pass\n", Random(0))


def test_a_network_that_one_operator_fits_is_edited_under_every_seed() -> None:
    code = "import torch.nn as nn\nclass Net:\n    layer = nn.ReLU()\n"
    for seed in range(100):
        assert random_edit(code, Random(seed)) != code


def test_operators_do_not_touch_frozen_functions_or_dead_code() -> None:
    code = NETWORK + "class Unused(nn.Module):\n    layer = nn.Conv2d(32, 64, 3)\n"
    for name, operator in OPERATORS.items():
        for seed in range(10):
            edited = operator(code, Random(seed))
            if edited is not None:
                assert "nn.Conv2d(32, 64, 3)\n" in edited, name
                assert "self.hidden = nn.Conv2d(32, 64, kernel_size=3, padding=1)\n" in edited, (
                    name
                )


def test_unified_delta_names_its_sides_and_replays() -> None:
    edited = random_edit(NETWORK, Random(1))
    delta = unified_delta(NETWORK, edited).splitlines(keepends=True)
    assert delta[:2] == ["--- baseline.py\n", "+++ improved.py\n"]
    assert replay(NETWORK, delta[2:]) == edited


def numbers(pattern: str, text: str) -> tuple[int, ...]:
    match = re.search(pattern, text)
    assert match, text
    return tuple(map(int, match.groups()))


def replay(before: str, hunks: list[str]) -> str:
    """Apply hunks by their line numbers."""
    lines = before.splitlines(keepends=True)
    result: list[str] = []
    at = 0
    for line in hunks:
        if line.startswith("@@"):
            start = numbers(r"@@ -(\d+)", line)[0] - 1
            result += lines[at:start]
            at = start
        elif line[0] == "+":
            result.append(line[1:])
        else:
            assert lines[at] == line[1:]
            result += [line[1:]] if line[0] == " " else []
            at += 1
    return "".join(result + lines[at:])
