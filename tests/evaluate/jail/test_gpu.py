"""GPUs that candidates train on: who may have one, what its jail gives, what starts no CUDA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deltanas.evaluate import ImageData, JailError, LocalExecutor, Tier
from deltanas.evaluate.jail import landlock
from deltanas.evaluate.jail.gpu import visible
from deltanas.evaluate.worker import environment
from tests.evaluate.networks import make_job, network

ROOT = Path(__file__).parents[2]
LIMITS = {"max_parameters": 10**6, "max_macs": 10**8}


def run(module: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    """Return device nodes of two GPUs."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("value", "names"),
    [(None, ["0", "1"]), ("3", ["3"]), ("1, GPU-5e2f", ["1", "GPU-5e2f"]), ("1,-1,0", ["1"])],
)
def test_what_the_environment_names_is_visible(
    value: str | None, names: list[str], nodes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if value is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    found = visible(Tier.STRONG, nodes)
    assert [each["CUDA_VISIBLE_DEVICES"] for each in found] == names
    assert {each["CUDA_DEVICE_ORDER"] for each in found} == {"PCI_BUS_ID"}


@pytest.mark.parametrize(
    ("value", "tier", "missing", "message"),
    [
        ("", Tier.STRONG, "", "no NVIDIA GPU can be seen here .* executor.device=cpu"),
        ("-1", Tier.STRONG, "", "no NVIDIA GPU can be seen here"),
        ("0", Tier.STRONG, "nvidia-uvm", "has no nvidia-uvm; .* makes them"),
        ("0", Tier.NOOPEN, "", "jail noopen lets no candidate open a GPU"),
    ],
)
def test_a_gpu_that_no_candidate_reaches_is_refused(
    value: str,
    tier: Tier,
    missing: str,
    message: str,
    nodes: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    if missing:
        (nodes / missing).unlink()
    with pytest.raises(JailError, match=message):
        visible(tier, nodes)


def test_an_executor_without_its_gpu_does_not_start(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(JailError, match="no NVIDIA GPU can be seen here"):
        LocalExecutor(digits, device="cuda", **LIMITS)


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_its_jail_has_what_cuda_needs_and_no_holes() -> None:
    found = json.loads(run("tests.evaluate.gpu_jail").stdout)
    assert found == {"holes": [], "missing": []}


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_the_self_test_sees_that_landlock_is_missing() -> None:
    found = json.loads(run("tests.evaluate.gpu_jail", "open").stdout)
    assert "Landlock lets it write a file" in found["holes"]


def test_the_zygote_starts_no_cuda_before_it_forks() -> None:
    """A backward pass would: it looks for devices through CUDA."""
    found = run("tests.evaluate.before_forks", LD_DEBUG="files", **environment(threads=1)).stderr
    _, checked, trained = found.split("MARK")
    assert "file=libcuda.so" not in checked
    assert "file=libcuda.so" in trained or torch.version.cuda is None


@pytest.mark.gpu
def test_a_job_on_a_gpu_has_the_accuracies_of_one_on_a_core(digits: ImageData) -> None:
    job = make_job(network(), epochs=3)
    with LocalExecutor(digits, workers=1, **LIMITS) as executor:
        (on_core,) = executor.map([job])
    with LocalExecutor(digits, device="cuda", workers=2, **LIMITS) as executor:
        found = list(executor.map([job, replace(job, job_id="again")]))
    assert found[0].test_accuracy == found[1].test_accuracy, "the same job differs on one GPU"
    assert on_core.test_accuracy is not None
    assert found[0].test_accuracy == pytest.approx(on_core.test_accuracy, abs=0.05)
