"""GPUs are dealt out to lanes, or refused with a sentence; where there is one, a job trains."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deltanas.evaluate import ImageData, JailError, LocalExecutor, Tier, gpu
from tests.evaluate.networks import make_job, network

LIMITS = {"max_parameters": 10**6, "max_macs": 10**8}
SEEN = gpu.visible()  # before a test changes the environment


@pytest.mark.parametrize(
    ("value", "names"), [("", []), ("3", ["3"]), ("1, GPU-5e2f", ["1", "GPU-5e2f"])]
)
def test_what_the_environment_names_is_visible(
    value: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert gpu.visible() == names


def test_lanes_take_turns_and_share_memory_evenly() -> None:
    found = gpu.shares(["0", "1"], lanes=3, tier=Tier.STRONG)
    assert found == [gpu.Gpu(name=name, share=0.5) for name in ("0", "1", "0")]


@pytest.mark.parametrize(
    ("names", "tier", "message"),
    [
        ([], Tier.STRONG, "no NVIDIA GPU can be seen here .* executor.device=cpu"),
        (["0"], Tier.NOOPEN, "jail noopen lets no candidate open a GPU"),
    ],
)
def test_a_gpu_that_no_candidate_reaches_is_refused(
    names: list[str], tier: Tier, message: str
) -> None:
    with pytest.raises(JailError, match=message):
        gpu.shares(names, lanes=1, tier=tier)


def test_an_executor_without_its_gpu_does_not_start(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(JailError, match="no NVIDIA GPU can be seen here"):
        LocalExecutor(digits, device="cuda", **LIMITS)


@pytest.mark.skipif(not SEEN, reason="there is no GPU here")
def test_a_job_on_a_gpu_has_the_accuracies_of_one_on_a_core(digits: ImageData) -> None:
    job = make_job(network(), epochs=3)
    with LocalExecutor(digits, workers=1, **LIMITS) as executor:
        (on_core,) = executor.map([job])
    with LocalExecutor(digits, device="cuda", workers=2, **LIMITS) as executor:
        found = list(executor.map([job, replace(job, job_id="again")]))
    assert found[0].test_accuracy == found[1].test_accuracy, "the same job differs on one GPU"
    assert on_core.test_accuracy is not None
    assert found[0].test_accuracy == pytest.approx(on_core.test_accuracy, abs=0.05)
