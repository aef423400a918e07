"""Weights from a child are bytes that are counted: nothing is unpickled, nothing is believed."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load, save

from deltanas.evaluate import Executor, ImageData
from deltanas.evaluate.channel import frame
from deltanas.evaluate.score import score
from deltanas.evaluate.weights import HEADER_CAP, WeightsError, checked_weights
from deltanas.records import Loop, Verdict
from tests.evaluate.networks import make_job, network
from tests.evaluate.test_score import CLEAN, HEADER, LIMITS, perfect

TYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64),
]
names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=30)
tensors = st.builds(
    lambda dtype, shape: torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype),
    st.sampled_from(TYPES),
    st.lists(st.integers(0, 4), max_size=4),
)


def table(entries: Any, data: bytes = b"") -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


@example(state={name: torch.zeros(0) for name in "ab"})  # at one place
@given(state=st.dictionaries(names.filter(lambda name: name != "__metadata__"), tensors))
def test_what_safetensors_writes_is_kept_bit_by_bit(state: dict[str, torch.Tensor]) -> None:
    found = load(checked_weights(save(state, {"from": "the child"}), {"network": "c00-s000"}))
    assert found.keys() == state.keys()
    for name, value in state.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_metadata_is_ours_alone(tmp_path: Any) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(checked_weights(save({"w": torch.ones(2)}, {"a": "b"}), {"network": "x"}))
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "network": "x"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "a table of 0 bytes in 0"),
        (pickle.dumps({"w": 1}), "a table of"),
        ((2**63).to_bytes(8, "little"), "a table of 9223372036854775808 bytes"),
        (table(b" " * (HEADER_CAP + 1)), "a table of 1048577 bytes"),
        (table(b"[" * 5000), "no JSON"),
        (table(b"\xff"), "no JSON"),
        (table([]), "a table that is a list"),
        (table({f"w{i}": entry(shape=[0], data_offsets=[0, 0]) for i in range(10_001)}), "10001"),
        (table({"../w\n": entry()}, bytes(8)), r"a tensor called '../w\\n'"),
        (table({"w" * 257: entry()}, bytes(8)), "a tensor called 'www"),
        (table({"w": 1}), "lacks type, shape or place"),
        (table({"w": {**entry(), "more": 1}}, bytes(8)), "lacks type"),
        (table({"w": entry(dtype="OBJECT")}, bytes(8)), "a type that is not taken"),
        (table({"w": entry(dtype=["F32"])}, bytes(8)), "a type that is not taken"),
        (table({"w": entry(shape=[-2])}, bytes(8)), "no shape or no place"),
        (table({"w": entry(shape=[True, 2])}, bytes(8)), "no shape or no place"),
        (table({"w": entry(shape=[1] * 9)}, bytes(8)), "no shape or no place"),
        (table({"w": entry(data_offsets=[0])}, bytes(8)), "no shape or no place"),
        (table({"w": entry(shape=[2**40, 2**40])}, bytes(8)), "takes 8 bytes, which is not"),
        (table({"w": entry(data_offsets=[8, 0])}, bytes(8)), "takes -8 bytes"),
        (table({"w": entry(data_offsets=[4, 12])}, bytes(12)), "begins at byte 4, where 0"),
        (table({"v": entry(), "w": entry()}, bytes(8)), "begins at byte 0, where 8"),
        (table({"w": entry()}, bytes(9)), "9 bytes of numbers; the table tells of 8"),
        (table({"w": entry()}, bytes(7)), "7 bytes of numbers; the table tells of 8"),
    ],
)
def test_whatever_else_comes_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        checked_weights(raw)


@given(raw=st.binary(max_size=200))
def test_no_bytes_lead_anywhere_else(raw: bytes) -> None:
    with pytest.raises(WeightsError):
        checked_weights(raw)


def test_weights_are_taken_behind_exact_logits_only(digits: ImageData) -> None:
    job = replace(make_job("", epochs=2), keep_weights=True)
    logits, weights = perfect(digits, 2), save({"w": torch.ones(2)})
    found = score(job, CLEAN, frame(HEADER, logits + weights), digits, LIMITS)
    assert load(found.weights)["w"].tolist() == [1, 1]
    for payload, reason in (
        (logits, "answered with no weights: a table of 0"),
        (logits[:-2] + weights, "answered with"),
        (logits + weights + b"0", "no weights: 9 bytes"),
        (logits + pickle.dumps(1), "no weights"),
    ):
        found = score(job, CLEAN, frame(HEADER, payload), digits, LIMITS)
        assert (found.verdict, found.weights, found.curve) == (Verdict.KILLED, None, ())
        assert reason in found.reason
    unasked = score(
        replace(job, keep_weights=False), CLEAN, frame(HEADER, logits + weights), digits, LIMITS
    )
    assert unasked.verdict is Verdict.KILLED


@pytest.mark.parametrize("loop", [Loop.trusted, Loop.own])
def test_trained_weights_answer_the_same_in_a_fresh_process(
    local_executor: Executor, loop: Loop
) -> None:
    code = network() + "    def learn(self, train_data):\n        for x, y in train_data:\n"
    code += "            self.optimizer.zero_grad(); self.criteria(self(x), y).backward()\n"
    code += "            self.optimizer.step()\n"
    job = replace(make_job(code, epochs=2), keep_weights=True, loop=loop)
    (trained,) = local_executor.map([job])
    assert trained.verdict is Verdict.TRAINED, trained.reason
    again = replace(job, keep_weights=False, weights=trained.weights, epochs=1, loop=loop)
    (loaded,) = local_executor.map([again])
    assert loaded.verdict is Verdict.TRAINED, loaded.reason
    assert (loaded.proxy_accuracy, loaded.test_accuracy) == (
        trained.proxy_accuracy,
        trained.test_accuracy,
    )
    assert loaded.weights is None


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        ("self.get_extra_state = None", ""),
        ("self._register_state_dict_hook(lambda m, s, p, x: s.update(w=1))", "w is no tensor"),
        (
            "self.register_buffer('b', torch.zeros(3 * 10**6, dtype=torch.float64))",
            "wrote more than",
        ),
    ],
)
def test_a_state_that_is_no_weights_or_too_large_gives_none(
    local_executor: Executor, init: str, reason: str
) -> None:
    (found,) = local_executor.map([replace(make_job(network(init=init)), keep_weights=True)])
    assert (found.weights is None) == bool(reason)
    assert reason in found.reason


def test_weights_of_another_network_do_not_load(local_executor: Executor) -> None:
    weights = checked_weights(save({"w": torch.ones(2)}))
    (found,) = local_executor.map([replace(make_job(network()), weights=weights)])
    assert found.verdict is Verdict.SHAPE
    assert "Missing key" in found.reason
