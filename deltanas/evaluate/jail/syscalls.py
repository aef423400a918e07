"""Linux system calls by number, for two machines, and how to make those that libc does not wrap.

Numbers: `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` of Linux
6.18. Those of x86_64 were run; those of aarch64 were only compared with the header.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # on both
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
PR_SET_NO_NEW_PRIVS, PR_SET_THP_DISABLE = 38, 41

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What differs between processors."""

    audit: int  # AUDIT_ARCH_*: how the kernel names the calling convention to a filter
    foreign: int | None  # numbers from here on belong to another convention (x32)
    numbers: Mapping[str, int]


def this_machine() -> Machine | None:
    """Return the machine that this process runs on; None where no numbers are known for it."""
    if not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        return None
    return MACHINES.get(platform.machine())


def call(number: int, *arguments: object) -> int:
    """Make one system call, every number as wide as a register. Raises OSError."""
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *wide))
    if result < 0:
        raise _last_error(f"system call {number}")
    return result


def prctl(option: int, value: int) -> None:
    """Set one property of this process. Raises OSError."""
    if libc.prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3):
        raise _last_error(f"prctl({option}, {value})")


def _last_error(what: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{what}: {os.strerror(code)}")


_TABLE = """
read 0 63             write 1 64            open 2 -              close 3 57
stat 4 -              fstat 5 80            lstat 6 -             poll 7 -
lseek 8 62            mmap 9 222            mprotect 10 226       munmap 11 215
brk 12 214            rt_sigaction 13 134   rt_sigprocmask 14 135 rt_sigreturn 15 139
ioctl 16 29           pread64 17 67         pwrite64 18 68        readv 19 65
writev 20 66          access 21 -           pipe 22 -             select 23 -
sched_yield 24 124    mremap 25 216         msync 26 227          mincore 27 232
madvise 28 233        dup 32 23             dup2 33 -             nanosleep 35 101
getitimer 36 102      alarm 37 -            setitimer 38 103      getpid 39 172
clone 56 220          exit 60 93            kill 62 129           uname 63 160
fcntl 72 25           getcwd 79 17          readlink 89 -         umask 95 166
gettimeofday 96 169   getrlimit 97 163      getrusage 98 165      sysinfo 99 179
times 100 153         getuid 102 174        getgid 104 176        capset 126 91
geteuid 107 175       getegid 108 177       getppid 110 173       rt_sigpending 127 136
rt_sigtimedwait 128 137 rt_sigsuspend 130 133 sigaltstack 131 132 sched_getparam 143 121
sched_getscheduler 145 120 sched_get_priority_max 146 125         sched_get_priority_min 147 126
prctl 157 167         arch_prctl 158 -      gettid 186 178        futex 202 98
sched_setaffinity 203 122 sched_getaffinity 204 123               getdents64 217 61
set_tid_address 218 96 restart_syscall 219 128                    clock_gettime 228 113
clock_getres 229 114  clock_nanosleep 230 115                     exit_group 231 94
epoll_wait 232 -      epoll_ctl 233 21      tgkill 234 131
get_mempolicy 239 236 openat 257 56         newfstatat 262 79     readlinkat 267 78
faccessat 269 48      pselect6 270 72       ppoll 271 73          set_robust_list 273 99
get_robust_list 274 100 epoll_pwait 281 22  socketpair 53 199     eventfd2 290 19
epoll_create1 291 20  dup3 292 24           pipe2 293 59          prlimit64 302 261
getcpu 309 168        seccomp 317 277       getrandom 318 278     membarrier 324 283
ftruncate 77 46       memfd_create 319 279
pkey_mprotect 329 288 pkey_alloc 330 289    pkey_free 331 290     statx 332 291
rseq 334 293          clone3 435 435        close_range 436 436   faccessat2 439 439
"""


def _column(index: int) -> dict[str, int]:
    words = _TABLE.split()
    rows = zip(words[::3], words[index::3], strict=True)
    return {name: int(number) for name, number in rows if number != "-"}


MACHINES: Mapping[str, Machine] = {
    "x86_64": Machine(audit=0xC000003E, foreign=0x40000000, numbers=_column(1)),
    "aarch64": Machine(audit=0xC00000B7, foreign=None, numbers=_column(2)),
}
