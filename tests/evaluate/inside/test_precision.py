"""Precision and memory format of training, as the network itself sees them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deltanas.evaluate import Executor
from deltanas.records import Precision
from tests.evaluate.networks import make_job, network

PRODUCT = "str(self.layers[1](x.flatten(1)).dtype)"
CONVOLUTION = "self.convolution = nn.Conv2d(4, 4, 3)"
ORDERED = "self.convolution.weight.is_contiguous(memory_format=torch.channels_last)"


@pytest.mark.parametrize("phase", ["self.training", "not self.training"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_products_have_the_precision_that_is_asked_for(
    precision: Precision, phase: str, local_executor: Executor
) -> None:
    code = network(forward=f"if {phase} and not x.is_meta: raise ValueError({PRODUCT})")
    (found,) = local_executor.map([replace(make_job(code), precision=precision)])
    assert f"ValueError: torch.{precision} " in found.reason


def test_bfloat16_learns_as_much(local_executor: Executor) -> None:
    job = make_job(network(), epochs=5)
    jobs = [job, replace(job, job_id="half", precision="bfloat16")]
    exact, half = sorted(local_executor.map(jobs), key=lambda found: found.job_id != "job")
    assert exact.test_accuracy is not None
    assert exact.test_accuracy > 0.8
    assert half.test_accuracy == pytest.approx(exact.test_accuracy, abs=0.03)


@pytest.mark.parametrize("channels_last", [False, True])
def test_weights_of_convolutions_lie_as_asked(
    channels_last: bool, local_executor: Executor
) -> None:
    code = network(init=CONVOLUTION, training=f"raise ValueError({ORDERED})")
    (found,) = local_executor.map([replace(make_job(code), channels_last=channels_last)])
    assert f"ValueError: {channels_last} " in found.reason
