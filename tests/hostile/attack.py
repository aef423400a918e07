"""One attack: where in a network it runs, what it tries, and what has to become of it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any, Literal

from deltanas.records import Verdict

Phase = Literal["import", "init", "setup", "learn", "training", "evaluation"]
DENIED = "PermissionError|Operation not permitted|Permission denied|EPERM|EACCES"
_VERDICTS: dict[Phase, Verdict] = {  # where an exception of that phase leads
    "import": Verdict.BUILD,
    "init": Verdict.BUILD,
    "setup": Verdict.BUILD,
    "learn": Verdict.TRAINED,
    "training": Verdict.SHAPE,
    "evaluation": Verdict.SHAPE,
}

_NETWORK = """
import ctypes, gc, json, mmap, os, signal, socket, struct, subprocess, sys, threading, time
import torch
from torch import nn

C = {canaries!r}
PHASE = {phase!r}
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = libc.syscall(ctypes.c_long(C["numbers"][name]), *wide)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def open_descriptors():
    found = []
    for descriptor in range(256):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        found.append(descriptor)
    return found


def attack(network=None, x=None):
{body}


if PHASE == "import":
    attack()


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        if PHASE == "init":
            attack(self)
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(in_shape[1] * in_shape[2] * in_shape[3], 32), nn.ReLU(),
            nn.Linear(32, out_shape[0]),
        )

    def forward(self, x):
        if not x.is_meta and PHASE == ("training" if self.training else "evaluation"):
            changed = attack(self, x)
            if changed is not None:
                return changed
        return self.layers(x)

    def train_setup(self, prm):
        if PHASE == "setup":
            attack(self)

    def learn(self, train_data):
        if PHASE == "learn":
            attack(self)
"""


@dataclass(frozen=True, slots=True)
class Attack:
    """A candidate that does one thing it should not."""

    name: str
    phase: Phase
    body: str  # lines of a function; C holds the canaries
    reason: str = DENIED  # regular expression for the reason of the verdict
    verdict: Verdict | None = None  # None: that of an exception in this phase
    harms_when_weak: bool = False  # leaves evidence where neither Landlock nor seccomp stands

    @property
    def expected(self) -> Verdict:
        return self.verdict or _VERDICTS[self.phase]

    def code(self, canaries: dict[str, Any]) -> str:
        body = textwrap.indent(textwrap.dedent(self.body).strip(), "    ")
        return _NETWORK.format(canaries=canaries, phase=self.phase, body=body)
