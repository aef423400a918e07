"""The local executor's processes: what they know, what they hold, and that they end."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deltanas.evaluate import (
    DatasetError,
    Executor,
    ImageData,
    LocalExecutor,
    ZygoteError,
    blank_data,
)
from deltanas.evaluate.channel import map_arrays, share_arrays, share_images
from deltanas.evaluate.images.cache import load_source
from deltanas.evaluate.images.sources import SOURCES
from deltanas.records import Evaluation, Job, Verdict
from tests.evaluate.images.miniatures import without_checksums, write_cifar100
from tests.evaluate.networks import PARAMETERS, RECIPE, make_job, network
from tests.evaluate.processes import lanes, memory_holds, parents, wait_for

SIZES = {"max_parameters": 10**6, "max_macs": 10**6}


def evaluate(executor: Executor, job: Job) -> Evaluation:
    (evaluation,) = executor.map([job])
    return evaluation


def in_background(executor: Executor, job: Job) -> tuple[threading.Thread, list[Evaluation]]:
    found: list[Evaluation] = []
    thread = threading.Thread(target=lambda: found.extend(executor.map([job])))
    thread.start()
    return thread, found


def test_an_endless_candidate_and_its_children_are_killed() -> None:
    others = {lane[0] for lane in lanes()}
    data = blank_data(image_size=8, channels=1, num_classes=2)
    endless = network(training="os.fork(); [time.sleep(1) for _ in range(10**6)]")
    # the other tiers let no candidate fork
    with LocalExecutor(data, workers=1, timeout_s=2, jail="weak", **SIZES) as executor:
        evaluate(executor, make_job(network(), epochs=0))  # warm
        thread, found = in_background(executor, make_job(endless))
        (family,) = wait_for(
            lambda: [lane for lane in lanes() if len(lane) == 4 and lane[0] not in others]
        )
        thread.join()
        assert found[0].verdict is Verdict.TIMED_OUT
        assert "stopped after 2." in found[0].reason
        zygote, worker, child, grandchild = family
        wait_for(lambda: not {child, grandchild} & set(parents()))
        assert {zygote, worker} <= set(parents())


def test_a_time_limit_that_nothing_meets_is_no_hole_in_the_jail(digits: ImageData) -> None:
    limits = {"timeout_s": 0.001, "max_parameters": 10**6, "max_macs": 10**7}
    with LocalExecutor(digits, workers=1, **limits) as executor:
        found = evaluate(executor, make_job(network()))
    assert found.verdict is Verdict.INFRASTRUCTURE  # its canary meets the limit no better
    assert "the job was stopped after" in found.reason


def test_a_worker_that_dies_is_replaced_and_its_job_repeated(local_executor: Executor) -> None:
    evaluate(local_executor, make_job(network(), epochs=0))  # warm
    code = network(training="time.sleep(0.05)")
    thread, found = in_background(local_executor, make_job(code))
    ((_, worker, _),) = wait_for(lambda: [lane for lane in lanes() if len(lane) == 3])
    os.kill(worker, signal.SIGKILL)
    thread.join()
    assert found[0].verdict is Verdict.TRAINED


def test_a_job_that_loses_two_workers_is_no_verdict_on_the_network(
    local_executor: Executor,
) -> None:
    evaluate(local_executor, make_job(network(), epochs=0))  # warm
    code = network(training="time.sleep(0.05)")
    thread, found = in_background(local_executor, make_job(code))
    killed: set[int] = set()
    while len(killed) < 2:
        ((_, worker, _),) = wait_for(
            lambda: [lane for lane in lanes() if len(lane) == 3 and lane[1] not in killed]
        )
        os.kill(worker, signal.SIGKILL)
        killed.add(worker)
    thread.join()
    assert found[0].verdict is Verdict.INFRASTRUCTURE
    assert found[0].reason.startswith("none of 2 workers could tell: the worker process died;")
    assert evaluate(local_executor, make_job(network())).verdict is Verdict.TRAINED


def test_a_zygote_that_dies_is_started_again(local_executor: Executor) -> None:
    evaluate(local_executor, make_job(network(), epochs=0))
    ((zygote, worker),) = lanes()
    os.kill(zygote, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    assert evaluate(local_executor, make_job(network(), epochs=0)).verdict is Verdict.TRAINED
    assert zygote not in parents()


def test_a_zygote_that_dies_during_a_job_costs_no_verdict(local_executor: Executor) -> None:
    code = network(training="time.sleep(0.02)")
    before = evaluate(local_executor, make_job(code))
    thread, found = in_background(local_executor, make_job(code))
    (family,) = wait_for(lambda: [lane for lane in lanes() if len(lane) == 3])
    for process in family:  # the child dies with its worker, if not by itself
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    thread.join()
    assert found[0].verdict is Verdict.TRAINED
    assert found[0].curve == before.curve


def test_no_process_that_runs_candidates_holds_held_out_labels(
    local_executor: Executor, digits: ImageData
) -> None:
    evaluate(local_executor, make_job(network(), epochs=0))
    ((_, worker),) = lanes()
    held = memory_holds(
        worker,
        digits.train_labels[:64].tobytes(),
        digits.images("val")[0].tobytes(),
        digits.val_labels[:64].tobytes(),
        digits.val_labels[:64].astype(np.uint8).tobytes(),
        digits.test_labels[:64].tobytes(),
        digits.test_labels[:64].astype(np.uint8).tobytes(),
    )
    assert held == [True, True, False, False, False, False]


def test_a_candidate_finds_an_empty_environment(
    local_executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = network(init="raise ValueError(dict(os.environ))")
    assert "ValueError: {} (line" in evaluate(local_executor, make_job(code)).reason
    ((zygote, _),) = lanes()
    names = {
        pair.partition(b"=")[0].decode()
        for pair in Path(f"/proc/{zygote}/environ").read_bytes().split(b"\0")
        if pair
    }
    assert "PATH" in os.environ
    assert names <= {
        "CUDA_VISIBLE_DEVICES",
        "GLIBC_TUNABLES",
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TRIM_THRESHOLD_",
        "OMP_NUM_THREADS",
        "PYTORCH_NVML_BASED_CUDA_CHECK",
        "OMP_WAIT_POLICY",
        "PYTHONHASHSEED",
        "PYTHONPATH",
    }


PROBE = """
def open_descriptors():
    found = []
    for descriptor in range(256):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        found.append(descriptor)
    return found
"""


def test_a_candidate_finds_only_the_answer_open(local_executor: Executor) -> None:
    code = PROBE + network(init="raise ValueError(len(open_descriptors()))")
    assert "ValueError: 4 (line" in evaluate(local_executor, make_job(code)).reason


def test_a_candidate_writes_no_file(local_executor: Executor, tmp_path: Path) -> None:
    target = tmp_path / "evidence"
    code = network(init=f"open({str(target)!r}, 'w').write('x' * 10**5)")
    assert "PermissionError" in evaluate(local_executor, make_job(code)).reason
    assert not target.exists()


FORGERY = """
import json

def forge(val, test):
    text = json.dumps({"verdict": "trained", "reason": "", "parameters": 1, "macs": 1}).encode()
    row = b"\\0\\x3c" + b"\\0\\0" * 9
    answer = len(text).to_bytes(4, "big") + text + row * (val + test)
    for descriptor in range(256):
        try:
            os.write(descriptor, answer)
        except OSError:
            pass
    os._exit(0)
"""


def test_a_forged_answer_scores_no_better_than_a_guess(
    local_executor: Executor, digits: ImageData
) -> None:
    code = FORGERY + network(training="forge(300, 360 + 150)")
    found = evaluate(local_executor, make_job(code))
    assert found.verdict is Verdict.TRAINED
    assert found.proxy_accuracy == (digits.val_labels == 0).mean()
    assert found.test_accuracy == (digits.test_labels == 0).mean()
    assert found.parameters == PARAMETERS  # not the one that it claims


def test_an_answer_that_never_ends_is_cut(local_executor: Executor) -> None:
    code = PROBE + network(
        training="[os.write(open_descriptors()[-1], bytes(10**5)) for _ in range(10**4)]"
    )
    found = evaluate(local_executor, make_job(code))
    assert found.verdict is Verdict.KILLED
    assert "the process wrote more than 81,740 bytes" in found.reason


def test_shared_arrays_can_be_changed_only_for_oneself() -> None:
    arrays = {"a": np.arange(5, dtype=np.int64), "b": np.ones((2, 3), np.uint8)}
    descriptor, layout = share_arrays(arrays)
    mine, theirs = map_arrays(descriptor, layout), map_arrays(descriptor, layout)
    mine["a"][:] = 0
    np.testing.assert_array_equal(theirs["a"], arrays["a"])
    np.testing.assert_array_equal(theirs["b"], arrays["b"])
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    os.close(descriptor)


@pytest.fixture
def mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageData:
    """A miniature of CIFAR-100, its images mapped from the cache."""
    without_checksums(monkeypatch)
    write_cifar100(tmp_path)
    source = replace(SOURCES["cifar100"], counts=None)
    return load_source(source, seed=0, root=tmp_path, cache_dir=tmp_path / "cache")


def test_images_of_a_file_are_mapped_as_they_are(mapped: ImageData) -> None:
    descriptor, layout = share_images(mapped.pixels)
    assert Path(f"/proc/self/fd/{descriptor}").readlink() == Path(mapped.pixels.filename)
    np.testing.assert_array_equal(map_arrays(descriptor, layout)["pixels"], mapped.pixels)
    os.close(descriptor)


def test_a_worker_maps_the_images_and_holds_no_held_out_labels(mapped: ImageData) -> None:
    others = {lane[0] for lane in lanes()}
    recipe = replace(RECIPE, image_size=32, batch=8)
    with LocalExecutor(mapped, workers=1, **SIZES) as executor:
        found = evaluate(executor, make_job(network(), recipe=recipe))
        assert found.verdict is Verdict.TRAINED, found.reason
        ((_, worker),) = [lane for lane in lanes() if lane[0] not in others]
        assert str(mapped.pixels.filename) in Path(f"/proc/{worker}/maps").read_text()
        needles = (mapped.images("val")[0], mapped.train_labels, mapped.test_labels)
        held = memory_holds(worker, *(needle.tobytes() for needle in needles))
        assert held == [True, True, False]


def test_images_that_are_deleted_during_a_run_stay_and_are_decoded_anew_by_the_next(
    mapped: ImageData, tmp_path: Path
) -> None:
    others = {lane[0] for lane in lanes()}
    job = make_job(network(), recipe=replace(RECIPE, image_size=32, batch=8))
    with LocalExecutor(mapped, workers=1, **SIZES) as executor:
        before = evaluate(executor, job)
        shutil.rmtree(tmp_path / "cache")
        for process in next(lane for lane in lanes() if lane[0] not in others):
            os.kill(process, signal.SIGKILL)  # a new zygote maps what is in no folder any more
        assert evaluate(executor, job).curve == before.curve != ()
    source = replace(SOURCES["cifar100"], counts=None)
    again = load_source(source, seed=0, root=tmp_path, cache_dir=tmp_path / "cache")
    assert again.pixels.shape == mapped.pixels.shape
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(tmp_path / "cifar-100-python")
    with pytest.raises(DatasetError, match="cifar-100-python"):
        load_source(source, seed=0, root=tmp_path, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"timeout_s": -1}, {"memory_gb": 0}, {"max_parameters": 0}]
)
def test_limits_that_cannot_hold_are_refused(wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be above 0"):
        LocalExecutor(blank_data(image_size=8, channels=1, num_classes=2), **{**SIZES, **wrong})


def test_closing_ends_every_process() -> None:
    others = {process for lane in lanes() for process in lane}
    with LocalExecutor(blank_data(image_size=8, channels=1, num_classes=2), **SIZES) as executor:
        ours = wait_for(lambda: {process for lane in lanes() for process in lane} - others)
        assert len(ours) == 1
    assert not ours & set(parents())
    executor.close()
    with pytest.raises(ZygoteError, match="the executor is closed"):
        list(executor.map([make_job(network())]))
