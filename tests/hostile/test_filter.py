"""The filter of system calls, run by a small interpreter of its instructions for both machines."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from deltanas.evaluate.jail import seccomp
from deltanas.evaluate.jail.syscalls import MACHINES

ALLOWED, DENIED, MISSING, KILLED = 0x7FFF0000, 0x50001, 0x50026, 0x80000000
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
OWN = 4321  # process
CASES = [
    ("read", (0,), ALLOWED),
    ("openat", (0,), ALLOWED),
    ("futex", (0,), ALLOWED),
    ("exit_group", (0,), ALLOWED),
    ("clone", (0x3D0F00,), ALLOWED),  # the flags of a thread of glibc
    ("clone", (17,), DENIED),
    ("clone", (0x3D0F00 | 0x10000000,), DENIED),
    ("clone", (0x3D0F00 & ~0x400,), DENIED),  # descriptors of its own
    ("close_range", (3, 9, 0), ALLOWED),
    ("close_range", (3, 9, 2), DENIED),
    ("clone3", (0,), MISSING),
    ("kill", (OWN, 9), ALLOWED),
    ("kill", (0, 9), DENIED),
    ("kill", (2**32 - 1, 9), DENIED),
    ("tgkill", (OWN + 1, 9), DENIED),
    ("fcntl", (3, 1), ALLOWED),
    ("fcntl", (3, 1030), ALLOWED),
    ("fcntl", (3, 8), DENIED),  # F_SETOWN
    ("fcntl", (3, 15), DENIED),  # F_SETOWN_EX
    ("prctl", (15,), ALLOWED),
    ("prctl", (4,), DENIED),
    ("prlimit64", (0,), ALLOWED),
    ("prlimit64", (1,), DENIED),
    ("prlimit64", (0, 7, 16), DENIED),  # sets its own
    ("prlimit64", (0, 7, 2**32), DENIED),
    ("mmap", (0, 4096, 3, 0x22), ALLOWED),  # private, of no file
    ("mmap", (0, 4096, 1, 0x01), ALLOWED),  # shared, of a file that can only be read
    ("mmap", (0, 4096, 3, 0x21), DENIED),
    ("mmap", (0, 4096, 3, 0x4031), DENIED),  # with other flags
    ("mmap", (0, 4096, 3, 0x40022), DENIED),  # MAP_HUGETLB
    ("sched_setaffinity", (1,), DENIED),
    ("ioctl", (0, 0x5401), ALLOWED),
    ("ioctl", (0, 0x5412), DENIED),
    ("ioctl", (0, 0xC020462A), DENIED),  # one of a GPU driver's
    ("socketpair", (1,), DENIED),
    ("seccomp", (1,), DENIED),
    ("capset", (0,), DENIED),
]


def decide(program: bytes, *, audit: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """Return the action that the filter takes on one system call."""
    data = struct.pack("=iIQ6Q", number, audit, 0, *(arguments + (0,) * 6)[:6])
    instructions = list(struct.iter_unpack("=HBBI", program))
    at = value = 0
    while True:
        operation, yes, no, constant = instructions[at]
        if operation == 0x20:
            (value,) = struct.unpack_from("=I", data, constant)
            jump = 0
        elif operation == 0x54:
            value &= constant
            jump = 0
        elif operation == 0x06:
            return constant
        else:
            holds = {
                0x15: value == constant,
                0x25: value > constant,
                0x35: value >= constant,
                0x45: bool(value & constant),
            }[operation]
            jump = yes if holds else no
        at += 1 + jump


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize(("call", "arguments", "action"), CASES)
def test_a_call_is_decided_by_its_arguments(
    name: str, call: str, arguments: tuple[int, ...], action: int
) -> None:
    machine = MACHINES[name]
    program = seccomp.for_process(seccomp.build(machine, opens=True), OWN)
    number = machine.numbers[call]
    assert decide(program, audit=machine.audit, number=number, arguments=arguments) == action


@pytest.mark.parametrize("name", MACHINES)
def test_only_the_calls_of_the_list_pass(name: str) -> None:
    machine = MACHINES[name]
    numbers = set(machine.numbers.values())
    for opens in (True, False):
        program = seccomp.build(machine, opens=opens)
        passing = {
            number
            for number in range(600)
            if decide(program, audit=machine.audit, number=number) == ALLOWED
        }
        assert passing < numbers
        assert (machine.numbers["openat"] in passing) is opens
        assert decide(program, audit=0x40000003, number=0) == KILLED
    assert len(program) // 8 < 400


def test_another_calling_convention_kills() -> None:
    machine = MACHINES["x86_64"]
    program = seccomp.for_process(seccomp.build(machine, opens=True), OWN)
    assert decide(program, audit=machine.audit, number=0x40000000) == KILLED


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize(
    ("request_", "action"),
    [
        (0xC020462A, ALLOWED),  # NV_ESC_RM_CONTROL
        (0x30000001, ALLOWED),  # UVM_INITIALIZE
        (0x30000002, ALLOWED),
        (33, ALLOWED),  # UVM_MAP_EXTERNAL_ALLOCATION
        (0x5401, ALLOWED),  # TCGETS, as without a GPU
        (0x5412, DENIED),  # TIOCSTI
        (0x541C, DENIED),  # TIOCLINUX
        (0x5452, DENIED),  # FIOASYNC: signals of a socket's owner
        (0x8901, DENIED),  # FIOSETOWN
        (0x8902, DENIED),  # SIOCSPGRP
        (0x8912, DENIED),  # SIOCGIFCONF
        (0x30000003, DENIED),
    ],
)
def test_a_gpu_opens_its_drivers_requests_alone(name: str, request_: int, action: int) -> None:
    machine = MACHINES[name]
    program = seccomp.build(machine, opens=True, gpu=True)
    ioctl = machine.numbers["ioctl"]
    found = decide(program, audit=machine.audit, number=ioctl, arguments=(3, request_))
    assert found == action


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize(
    ("call", "arguments", "action"),
    [
        ("mmap", (0, 4096, 3, 0x21), ALLOWED),
        ("mmap", (0, 4096, 3, 0x40021), DENIED),  # MAP_HUGETLB
        ("ftruncate", (3, 4096), ALLOWED),
        ("memfd_create", (2**40, 1), ALLOWED),
        ("memfd_create", (2**40, 5), DENIED),  # MFD_HUGETLB
        ("socketpair", (1, 1, 0), ALLOWED),
        ("socketpair", (2, 1, 0), DENIED),  # AF_INET
        ("socketpair", (30, 1, 0), DENIED),  # AF_TIPC
    ],
)
def test_a_gpu_has_files_in_memory_but_no_huge_ones_and_no_network(
    name: str, call: str, arguments: tuple[int, ...], action: int
) -> None:
    machine = MACHINES[name]
    program = seccomp.build(machine, opens=True, gpu=True)
    number = machine.numbers[call]
    assert decide(program, audit=machine.audit, number=number, arguments=arguments) == action


@pytest.mark.parametrize("name", MACHINES)
def test_the_numbers_are_the_kernels(name: str) -> None:
    if not HEADERS[name].exists():
        pytest.skip("the kernel's headers are not installed")
    text = HEADERS[name].read_text()
    kernel = {
        found[1]: int(found[2])
        for found in re.finditer(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
    }
    kernel.setdefault("newfstatat", kernel.get("fstatat", -1))
    for call, number in MACHINES[name].numbers.items():
        assert kernel[call] == number, call
