"""Which system calls a candidate may make: a list of what training needs, as a kernel filter.

Everything off the list fails with EPERM: new processes, exec, sockets, ptrace, io_uring, bpf,
keyctl, userfaultfd, and whatever later kernels add. The list was found by running LEMUR networks.
Format: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable, Sequence

from deltanas.evaluate.jail.syscalls import Machine, call, this_machine

_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_AND, _LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _JUMP_FROM, _JUMP_ANY, _RETURN = (
    0x54,
    0x20,
    0x15,
    0x25,
    0x35,
    0x45,
    6,
)

OPENING = ("open", "openat")
_SETTING_UP = ("capset", "seccomp")  # in the table for the jail's own sake
_GPU_ONLY = ("socketpair", "memfd_create", "ftruncate")  # CUDA starts with files in memory

_CLONE_AS_THREAD = 0x00010400  # CLONE_THREAD, and CLONE_FILES: descriptors count for all threads
_CLOSE_UNSHARE = 0x2  # of close_range: a table of descriptors for this thread alone
_CLONE_NAMESPACES = 0x7E020080  # NEWNS, NEWCGROUP .. NEWNET, NEWTIME
_FCNTL = (0, 1, 2, 3, 4, 1030)  # copies and flags; F_SETOWN would send SIGIO to other processes
_PRCTL = (15, 16, 0x53564D41)  # names of threads and of memory areas
_UNCOUNTED = 0x21  # MAP_SHARED, MAP_ANONYMOUS: its pages stay while one of them is mapped
_MAP_HUGETLB, _MFD_HUGETLB = 0x40000, 0x4  # the administrator's pages, which count for nobody
_AF_UNIX = 1
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # terminal? its size, FION*, FIO*CLEX
_NVIDIA_TYPE = 0x46  # second byte of the driver's requests, NV_IOCTL_MAGIC
_UVM_LAST, _UVM_START = 0xFF, (0x30000001, 0x30000002)  # unified memory counts from 1, untyped

_ANY_PROCESS = 0xFACEFEED  # stands for the number of a process that is not known yet
_Instruction = tuple[int, int, int, int]  # operation, jump if true, jump if false, constant


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def available() -> bool:
    """Tell whether this kernel filters system calls, and whether their numbers are known here."""
    machine = this_machine()
    if machine is None:
        return False
    action = ctypes.c_uint32(_ERRNO)
    try:
        call(machine.numbers["seccomp"], _GET_ACTION_AVAIL, 0, ctypes.byref(action))
    except OSError:
        return False
    return True


def build(machine: Machine, *, opens: bool, gpu: bool = False) -> bytes:
    """Return a filter that `for_process` makes one process's: it may signal nobody but itself.

    `opens`: files may be opened, which takes another layer to say which. `gpu`: the `ioctl`s of
    NVIDIA's driver as well, by their type and numbers, and what else CUDA is known to need.
    """
    numbers = machine.numbers
    rules = {
        "clone": _thread_only(),
        "clone3": [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)],  # libc falls back to clone
        "fcntl": _one_of(1, _FCNTL),
        "ioctl": [*(_nvidia() if gpu else ()), *_one_of(1, _IOCTL)],
        "prctl": _one_of(0, _PRCTL),
        **{name: _one_of(0, (_ANY_PROCESS,)) for name in ("kill", "tgkill")},
        "sched_setaffinity": _one_of(0, (0,)),  # of itself
        "prlimit64": _asks_about_itself(),
        "close_range": _refusing(2, _CLOSE_UNSHARE),
        "mmap": _refusing(3, _MAP_HUGETLB, *(() if gpu else (_UNCOUNTED,))),
    }
    if gpu:
        rules |= {
            "socketpair": _one_of(0, (_AF_UNIX,)),
            "memfd_create": _refusing(1, _MFD_HUGETLB),
        }
    left_out = {*_SETTING_UP, *(OPENING if not opens else ()), *(_GPU_ONLY if not gpu else ())}
    plain = {number for name, number in numbers.items() if name not in left_out | rules.keys()}
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine.foreign is not None:
        code += [(_JUMP_FROM, 0, 1, machine.foreign), (_RETURN, 0, 0, _KILL_PROCESS)]
    for first, last in _runs(plain):
        code += [(_JUMP_FROM, 0, 2, first), (_JUMP_ABOVE, 1, 0, last), (_RETURN, 0, 0, _ALLOW)]
    for name, rule in rules.items():
        code += [(_JUMP_EQUAL, 0, len(rule), numbers[name]), *rule]
    code.append((_RETURN, 0, 0, _ERRNO | errno.EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def for_process(program: bytes, process: int) -> bytes:
    """Return the filter of one process."""
    return program.replace(struct.pack("=I", _ANY_PROCESS), struct.pack("=I", process))


def install(program: bytes) -> None:
    """Put this thread, which must be the only one, behind the filter for good.

    Needs no_new_privs. Raises OSError.
    """
    machine = this_machine()
    if machine is None:
        raise OSError(errno.ENOSYS, "no system call numbers are known for this machine")
    filled = _Program(len(program) // 8, program)
    call(machine.numbers["seccomp"], _SET_MODE_FILTER, 0, ctypes.byref(filled))


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return numbers as (first, last) of every run without a gap."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _argument(index: int, *, high: bool = False) -> _Instruction:
    """Load half of an argument: of those checked here only pointers have more than the low one."""
    return (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * index + 4 * high)


def _one_of(index: int, values: Sequence[int]) -> list[_Instruction]:
    tests = [(_JUMP_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [
        _argument(index),
        *tests,
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _refusing(index: int, *refused: int) -> list[_Instruction]:
    """Refuse an argument that has all bits of one of `refused`."""
    code: list[_Instruction] = []
    for bits in refused:
        code += [
            _argument(index),
            (_AND, 0, 0, bits),
            (_JUMP_EQUAL, 0, 1, bits),
            (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        ]
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _asks_about_itself() -> list[_Instruction]:
    """Allow a question about limits that sets none: no process, and no pointer to new ones."""
    return [
        _argument(0),
        (_JUMP_EQUAL, 0, 4, 0),
        _argument(2),
        (_JUMP_EQUAL, 0, 2, 0),
        _argument(2, high=True),
        (_JUMP_EQUAL, 1, 0, 0),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _nvidia() -> list[_Instruction]:
    """Allow the requests of NVIDIA's driver; any other goes on with what follows."""
    return [
        _argument(1),
        (_JUMP_ABOVE, 1, 0, _UVM_LAST),
        (_RETURN, 0, 0, _ALLOW),
        (_JUMP_EQUAL, 1, 0, _UVM_START[0]),
        (_JUMP_EQUAL, 0, 1, _UVM_START[1]),
        (_RETURN, 0, 0, _ALLOW),
        (_AND, 0, 0, 0xFF00),
        (_JUMP_EQUAL, 0, 1, _NVIDIA_TYPE << 8),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _thread_only() -> list[_Instruction]:
    return [
        _argument(0),
        (_JUMP_ANY, 3, 0, _CLONE_NAMESPACES),
        (_AND, 0, 0, _CLONE_AS_THREAD),
        (_JUMP_EQUAL, 0, 1, _CLONE_AS_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
