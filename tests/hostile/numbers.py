"""Numbers of the system calls that attacks make, by machine; from the kernel's headers."""

_TABLE = """
open_by_handle_at 304 265   socket 41 198             vfork 58 220
clone 56 220                clone3 435 435            rt_sigqueueinfo 129 138
ptrace 101 117              process_vm_writev 311 271 unshare 272 97
mount 165 40                bpf 321 280               io_uring_setup 425 425
keyctl 250 219              userfaultfd 323 282       perf_event_open 298 241
shmget 29 194               mq_open 240 180           landlock_restrict_self 446 446
capset 126 91               execve 59 221             x32 1073741863 0
setpgid 109 154             sched_yield 24 124        memfd_create 319 279
exit 60 93                  mbind 237 235             close_range 436 436
"""
_WORDS = _TABLE.split()

NUMBERS = {
    machine: dict(zip(_WORDS[::3], map(int, _WORDS[index::3]), strict=True))
    for index, machine in ((1, "x86_64"), (2, "aarch64"))
}
