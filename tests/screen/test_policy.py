from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from deltanas.screen.policy import MAX_BYTES, PolicyError, check_network, check_policy
from deltanas.source import strip_comments

BUILTIN = Path(__file__).parents[2] / "deltanas" / "archive" / "builtin"
BASELINE = strip_comments((BUILTIN / "resnet_basic.py").read_text())
FIRST = "        self.bn = nn.BatchNorm2d(16)\n"  # a line of Net.__init__
LINE = BASELINE.splitlines().index(FIRST.rstrip()) + 1


def with_line(line: str) -> str:
    """Return the baseline with one more line at the start of `Net.__init__`'s layers."""
    return BASELINE.replace(FIRST, f"        {line}\n{FIRST}")


@pytest.mark.parametrize("path", sorted(BUILTIN.glob("*.py")), ids=lambda path: path.stem)
def test_every_builtin_network_passes(path: Path) -> None:
    code = strip_comments(path.read_text())
    check_policy(code, code)


@pytest.mark.parametrize(
    "code",
    [
        BASELINE.replace("16", "24"),
        with_line("self.scale = nn.Parameter(torch.ones(1))"),
        with_line("setattr(self, f'stage{1}', nn.ReLU())"),
        with_line("getattr(self, 'conv').requires_grad_(True)"),
        with_line("self.kind = self.__class__.__name__"),
        with_line("input = self.load = self.open = None"),
        with_line("self.pattern = '\\d'"),
        f"import math\nfrom torch.nn.utils import parametrizations\n{BASELINE}",
        f"torch = None\n# coding: utf-8\n{BASELINE}",
        BASELINE.replace("device: torch.device", "*rest, depth=1"),
    ],
)
def test_edits_of_the_architecture_pass(code: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_policy(BASELINE, code)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (rf"line {LINE}: '\(' was never closed", with_line("self.a = nn.ReLU(")),
        ("line 1: 'return' outside function", f"return\n{BASELINE}"),
        ("null bytes", f"{BASELINE}x = '\0'\n"),
        ("not text", f"{BASELINE}x = '\ud800'\n"),
        ("nested too deeply", f"{BASELINE}x = {'-' * 100_000}1\n"),
        ("nested deeper than 100 levels", f"{BASELINE}x = {'-' * 120}1\n"),
        ("nested deeper than 100 levels", f"{BASELINE}x = y{'.real' * 120}\n"),
    ],
)
def test_syntax(message: str, code: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        check_policy(BASELINE, code)
    assert caught.value.verdict == "syntax"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (
            "no top-level class Net, but BasicBlock, Network",
            BASELINE.replace("class Net", "class Network"),
        ),
        ("2 top-level classes Net", f"{BASELINE}class Net:\n    pass\n"),
        ("a function supported_hyperparameters", BASELINE.replace("def supported_", "def my_")),
        (
            "must have a method forward",
            BASELINE.replace("def forward(self, x: ", "def f(self, x: "),
        ),
        ("must have a method learn", BASELINE.replace("def learn", "def teach")),
        (
            r"Net.__init__\(self, in_shape.*must accept",
            BASELINE.replace(", device: torch.device", ""),
        ),
        ("must accept", BASELINE.replace("prm: dict", "prm: dict, depth")),
    ],
)
def test_interface(message: str, code: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        check_policy(BASELINE, code)
    assert caught.value.verdict == "interface"


def test_a_method_may_be_inherited_where_the_baseline_inherits_it() -> None:
    start, _, rest = BASELINE.partition("    def train_setup")
    baseline = start.replace("class Net", "class Base") + (
        "class Trained(Base):\n    def train_setup" + rest + "class Net(Trained):\n    pass\n"
    )
    check_policy(baseline, baseline.replace("16", "24"))
    with pytest.raises(PolicyError, match="must have a method __init__"):
        check_policy(BASELINE, baseline)


@pytest.mark.parametrize(
    "line",
    [
        "self.x = eval('1')",
        "exec('1')",
        "compile('1', '', 'exec')",
        "open('/etc/passwd')",
        "__import__('os')",
        "input()",
        "breakpoint()",
        "self.x = globals()",
        "self.x = vars(torch)",
        "self.x = __builtins__",
        "get = getattr",
        "list(map(getattr, [torch], ['os']))",
        "getattr(torch, prm['name'])",
        "getattr(torch, 'os')",
        "getattr(torch, 'load')",
        "getattr(self, f'{prm}')",
        "setattr(F, 'relu', None)",
        "delattr(*prm)",
        "torch.os.system('true')",
        "nn.modules.module.sys.exit()",
        "torch.utils._osp.exists('x')",
        "torch.cuda.tunable.mp.Process()",
        "torch.load('x')",
        "torch.save(prm, 'x')",
        "torch.hub.load('x', 'y')",
        "torch.utils.cpp_extension.load_inline('x', '')",
        "torch.ops.load_library('x')",
        "torch.distributed.init_process_group()",
        "torch.multiprocessing.spawn(None)",
        "torch.jit.CompilationUnit('')",
        "nn.Linear = None",
        "torch.Tensor.argmax = None",
        "del F.relu",
        "self.__class__ = nn.Linear",
        "self.x = self.__dict__",
        "self.x = ().__class__.__base__.__subclasses__()",
        "self.x = self.forward.__globals__",
        "self.x = '{0.__globals__}'.format(self.forward)",
        "self.x = (y for y in ()).gi_frame.f_back",
        "self.train_setup = None",
        "import os",
        "from torch import os",
        "from torch.utils.cpp_extension import load_inline",
        "import torch.hub as nn",
        "from . import x",
    ],
)
def test_policy_names_the_line(line: str) -> None:
    with pytest.raises(PolicyError, match=f"^line {LINE}: ") as caught:
        check_policy(BASELINE, with_line(line))
    assert caught.value.verdict == "policy"


def test_names_that_an_import_hides_are_refused() -> None:
    baseline = f"from math import *\n{BASELINE}"
    check_policy(baseline, baseline)
    with pytest.raises(PolicyError, match=r"line 1: the import of math\.\* is not allowed"):
        check_policy(BASELINE, baseline)


def test_policy_sees_attributes_in_patterns() -> None:
    code = f"{BASELINE}match torch:\n    case object(os=found):\n        pass\n"
    with pytest.raises(PolicyError, match=r"object\(os=found\)"):
        check_policy(BASELINE, code)


@pytest.mark.parametrize(
    ("message", "old", "new"),
    [
        ("learn differs", "parameters(), 3)", "parameters(), 9)"),
        ("train_setup differs", "SGD", "Adam"),
        ("supported_hyperparameters differs", "    return {", "    return {'dropout'} | {"),
        (
            "learn differs",
            "class Net",
            "class Other:\n    def learn(self):\n        pass\nclass Net",
        ),
    ],
)
def test_frozen_parts_stay_unless_thawed(message: str, old: str, new: str) -> None:
    code = BASELINE.replace(old, new)
    with pytest.raises(PolicyError, match=message) as caught:
        check_policy(BASELINE, code)
    assert caught.value.verdict == "policy"
    check_policy(BASELINE, code, frozen=())


def test_a_second_copy_of_a_frozen_part_is_a_change() -> None:
    learn = "    def learn" + BASELINE.partition("    def learn")[2]
    with pytest.raises(PolicyError, match="learn differs"):
        check_policy(BASELINE, f"{BASELINE}class Other(Net):\n{learn}")


def test_an_unused_foreign_import_of_the_baseline_is_tolerated() -> None:
    baseline = f"import os\nimport gc\nfrom traceback import print_exc\n{BASELINE}"
    check_policy(baseline, baseline.replace("16", "24"))
    check_policy(baseline, baseline.replace(FIRST, f"        gc.collect()\n{FIRST}"))
    for line in ("os.remove('x')", "print_exc()", "gc.get_objects()"):
        with pytest.raises(PolicyError, match="not allowed"):
            check_policy(baseline, baseline.replace(FIRST, f"        {line}\n{FIRST}"))
    with pytest.raises(PolicyError, match="line 1: the import of os is not allowed"):
        check_policy(BASELINE, baseline)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (f"at most {MAX_BYTES} are allowed", f"x = '{'é' * (MAX_BYTES // 2)}'\n{BASELINE}"),
        ("line 2: the encoding is rot13", f"\n# -*- coding: rot13 -*-\n{BASELINE}"),
    ],
)
def test_policy_of_the_file(message: str, code: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        check_policy(BASELINE, code)
    assert caught.value.verdict == "policy"


def test_a_network_alone_is_held_to_all_but_a_baseline() -> None:
    check_network(f"import os\n{BASELINE.replace('SGD', 'Adam')}")
    start, _, rest = BASELINE.partition("    def train_setup")
    check_network(
        start.replace("class Net", "class Base")
        + ("class Trained(Base):\n    def train_setup" + rest + "class Net(Trained):\n    pass\n")
    )
    for verdict, code in {
        "syntax": f"{BASELINE}x = '\udcff'\n",
        "interface": BASELINE.replace("def learn", "def teach"),
        "policy": f"import os\n{with_line('os.remove(prm)')}",
    }.items():
        with pytest.raises(PolicyError) as caught:
            check_network(code)
        assert caught.value.verdict == verdict
