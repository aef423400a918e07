"""`deltanas-doctor`: what this machine offers a search, whether the jail holds, what to do."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deltanas.cli.exits import ending
from deltanas.cli.streams import emit
from deltanas.evaluate import (
    JailError,
    Jailing,
    LocalExecutor,
    Tier,
    ZygoteError,
    blank_data,
    choose,
)
from deltanas.records import Evaluation, Job, Recipe, Verdict

PACKAGES = ("deltanas", "torch", "torchvision", "lightning", "transformers", "peft", "wandb")
GPU_MARK = Path("/proc/driver/nvidia/version")

_TRIAL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, out_shape[0]))

    def forward(self, x):
        return self.layers(x)

    def train_setup(self, prm):
        pass
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a fact, then what to do; return 1 where something is amiss."""
    return ending("deltanas-doctor", lambda: _examine(arguments))


def _examine(arguments: Sequence[str] | None) -> int:
    asked = parser().parse_args(arguments)
    for name, value in _machine():
        _say(name, value)
    advice: list[str] = []
    try:
        jailing = choose(asked.jail)
    except JailError as error:
        _say("jail", "none")
        advice.append(str(error))
    else:
        for name, value in _layers(jailing):
            _say(name, value)
        advice += [*_weaknesses(jailing), *_trial(asked.jail, asked.device)]
    for sentence in advice:
        _say("to do", sentence)
    if not advice:
        _say("to do", "nothing: python -m deltanas can start")
    return int(bool(advice))


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="deltanas-doctor", description=__doc__)
    made.add_argument("--jail", default="auto", choices=["auto", *Tier])
    made.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="of the trial")
    return made


def _say(name: str, value: str) -> None:
    emit(f"{name:<12} {value}\n")


def _machine() -> Iterator[tuple[str, str]]:
    yield "system", f"{platform.system()} {platform.release()} on {platform.machine()}"
    yield "python", f"{platform.python_version()} at {sys.prefix}"
    for name in PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "not installed"
        yield name, found
    yield "cores", str(os.cpu_count())
    yield "memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    gpu = GPU_MARK.read_text(encoding="ascii").splitlines()[0] if GPU_MARK.exists() else "none"
    yield "GPU", gpu


def _layers(jailing: Jailing) -> Iterator[tuple[str, str]]:
    files = f"version {jailing.landlock}" if jailing.landlock else "not offered by this kernel"
    yield "landlock", files
    yield "seccomp", "offered" if jailing.seccomp else "not offered by this kernel"
    root = " (root becomes it)" if os.geteuid() == 0 != jailing.identity else ""
    yield "user", f"candidates run as {jailing.identity}{root}"
    yield "jail", jailing.tier


def _weaknesses(jailing: Jailing) -> Iterator[str]:
    if jailing.tier is Tier.WEAK:
        yield "the jail is weak: run only networks that you trust, or see executor.jail=auto"
    if jailing.identity == 0:
        yield "candidates run as root, which this container does not let go of; use a plain user"


def _trial(jail: str, device: str) -> Iterator[str]:
    """Build and train one network in the jail, whose layers the zygote tries from inside."""
    data = blank_data(image_size=8, channels=1, num_classes=2)
    recipe = Recipe(lr=0.01, momentum=0.9, batch=2, image_size=8, flip=False)
    job = Job(job_id="doctor", code=_TRIAL, recipe=recipe)
    try:
        with LocalExecutor(
            data, device=device, workers=1, jail=jail, max_parameters=10**6, max_macs=10**6
        ) as executor:
            found: Evaluation = next(iter(executor.map([job])))
    except (ZygoteError, JailError) as error:
        _say("trial", "no network could be trained")
        yield str(error)
        return
    _say("trial", f"{found.verdict} in {found.seconds:.2f} s; every layer held from inside")
    if found.verdict is not Verdict.TRAINED:
        yield f"a network that should train ended as {found.verdict}: {found.reason}"


if __name__ == "__main__":
    sys.exit(main())
