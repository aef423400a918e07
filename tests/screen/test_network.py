"""Whole networks in replies: found, completed with the frozen functions, refused by name."""

import pytest

from deltanas.archive.builtin_archive import source
from deltanas.records import Verdict
from deltanas.screen.delta import DeltaError
from deltanas.screen.network import extract_network
from deltanas.screen.policy import PolicyError, check_policy
from deltanas.source import frozen_lines


@pytest.fixture
def code() -> str:
    return source("plain_cnn_bn")


def architecture(code: str) -> str:
    """Return the lines of a network that are not frozen, as the embedded LLM sees it."""
    frozen = frozen_lines(code)
    return "".join(
        f"{line}\n" for number, line in enumerate(code.splitlines(), 1) if number not in frozen
    )


def test_a_network_without_frozen_functions_gets_the_baselines(code: str):
    reply = architecture(code).replace("kernel_size=3", "kernel_size=5")
    assert "def learn" not in reply
    network = extract_network(reply, code)
    check_policy(code, network)
    assert "kernel_size=5" in network


def test_what_the_reply_defines_itself_stays(code: str):
    reply = code.replace("def learn(self, train_data):", "def learn(self, other):")
    network = extract_network(reply, code)
    assert network.count("def learn") == 1
    assert "def learn(self, other):" in network


def test_the_only_fence_with_a_network_is_taken(code: str):
    other = code.replace("kernel_size=3", "kernel_size=5")
    reply = f"Here:\n```python\n{other}```\nand run\n```\npip list\n```\n"
    assert extract_network(reply, code) == other


@pytest.mark.parametrize(
    ("reply", "verdict", "message"),
    [
        ("I cannot help.", Verdict.NO_DELTA, "holds 0 networks with a class Net"),
        (
            "```\nclass Net:\n    a = 1\n```\n```\nclass Net:\n    a = 2\n```\n",
            Verdict.MALFORMED,
            "holds 2 networks",
        ),
    ],
)
def test_a_reply_without_one_network_is_refused(
    reply: str, verdict: Verdict, message: str, code: str
):
    with pytest.raises(DeltaError, match=message) as caught:
        extract_network(reply, code)
    assert caught.value.verdict is verdict


def test_the_baseline_again_is_no_change(code: str):
    with pytest.raises(DeltaError, match="repeats the syntax tree") as caught:
        extract_network(architecture(code), code)
    assert caught.value.verdict is Verdict.NO_OP


def test_broken_python_is_left_to_the_next_gate(code: str):
    broken = "class Net(nn.Module:\n    pass\n"
    assert extract_network(broken, code) == broken


def test_a_class_in_a_string_is_left_to_the_next_gate(code: str):
    text = 'text = """\nclass Net:\n"""\n'
    with pytest.raises(PolicyError, match="no top-level class Net, and no other"):
        check_policy(code, extract_network(text, code))
