"""What a candidate's process gives up before it sees candidate source, in this order:

1. a session of its own, which its supervisor kills as a whole; it dies with its supervisor
2. every descriptor but the pipe for its answer; its standard streams are /dev/null
3. the environment
4. resources: CPU time, memory, open files, written files, locked memory, waiting signals, core
   dumps, huge pages
5. identity: root becomes a plain user; no capabilities, not traceable by its equals
6. files (Landlock): only the interpreter and its packages can be opened, to read
7. system calls (seccomp): threads, memory, time and the open descriptors; last, as it forbids
   the calls that the other layers need

Not covered: SECURITY.md. Every layer is a function of its own, tested without the others.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deltanas.evaluate.channel import Limits
from deltanas.evaluate.jail import landlock, privileges, seccomp
from deltanas.evaluate.jail.syscalls import (
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    PR_SET_THP_DISABLE,
    prctl,
    this_machine,
)
from deltanas.evaluate.jail.tiers import JailError, Tier

MAX_OPEN_FILES = 64
MAX_GPU_FILES = 256  # CUDA opens a card's node many times over
MAX_SIGNALS = 64  # waiting to be received; all processes of a user share the kernel's store
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage")  # where the kernel has them
_DEVICES = ("/dev/null", "/dev/urandom")
_PACKAGES = ("torch", "torchvision", "numpy", "lightning")
_WITH_LABELS = ("deltanas", "sklearn")
_GPU_READS = (
    *(f"/proc/{name}" for name in ("cpuinfo", "devices", "driver/nvidia", "meminfo", "modules")),
    *("/proc/sys/vm/mmap_min_addr", "/proc/self/maps", "/proc/self/status"),
    "/sys",
    *("/usr/local/cuda", "/usr/local/nvidia", "/run/opengl-driver"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jail:
    """What the zygote prepares once for all of its candidates."""

    tier: Tier
    base_memory: int  # bytes of address space that the zygote itself uses
    identity: int | None  # user and group that root becomes
    kept: int  # capabilities, for an interpreter that this user cannot reach by its own rights
    ruleset: int | None  # descriptor of the Landlock ruleset
    program: bytes | None  # the filter of system calls
    gpu: Mapping[Path, int] | None  # what children on a GPU may open, each of its own /proc/self


def prepare(tier: Tier, *, gpu: bool = False) -> Jail:
    """Return the jail of one tier on this machine. Raises JailError where it cannot be had."""
    identity = privileges.plain_id()
    allowed = readable()
    ruleset = program = None
    if tier is Tier.STRONG:
        try:
            ruleset = landlock.build(allowed)
        except OSError as error:
            raise JailError(f"Landlock refuses its rules: {error}") from error
    if tier is not Tier.WEAK:
        machine = this_machine()
        if machine is None:
            raise JailError("the numbers of this machine's system calls are not known here")
        program = seccomp.build(machine, opens=tier is Tier.STRONG, gpu=gpu)
    reads = tier is not Tier.NOOPEN and not landlock.world_readable(allowed)
    return Jail(
        tier=tier,
        base_memory=address_space(),
        identity=identity,
        kept=privileges.reading() if identity is not None and reads else 0,
        ruleset=ruleset,
        program=program,
        gpu={**allowed, **_gpu_files()} if gpu else None,
    )


def readable() -> dict[Path, int]:
    """Return what candidates may open: interpreter, packages, shared libraries, two devices.

    Not every folder of `sys.path`, as a checkout holds runs and a home more; and of the packages
    not those that hold labels: this one, and scikit-learn, which has the digits, too.
    """
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {sysconfig.get_path(name) for name in names} | set(_LIBRARIES)
    folders |= {str(Path(found).parent) for found in _places(_PACKAGES)}
    hidden = {Path(found).resolve() for found in _places(_WITH_LABELS)}
    allowed: dict[Path, int] = {}
    for folder in sorted(folders):
        allowed.update(around(Path(folder).resolve(), hidden))
    return allowed | dict.fromkeys(map(Path, _DEVICES), landlock.READ_FILE)


def _places(packages: tuple[str, ...]) -> Iterator[str]:
    """Yield the folders of those packages that are installed."""
    for package in packages:
        spec = find_spec(package)
        if spec is not None:
            yield from spec.submodule_search_locations or ()


def around(place: Path, hidden: set[Path]) -> Iterator[tuple[Path, int]]:
    """Yield the rights to read `place` except for what is hidden; names stay visible."""
    if place in hidden or not place.exists():
        return
    if not any(each.is_relative_to(place) for each in hidden):
        yield place, landlock.READ
        return
    yield place, landlock.READ_DIR
    for entry in place.iterdir():
        if not entry.is_symlink():  # it may lead anywhere
            yield from around(entry, hidden)


def address_space() -> int:
    """Return the bytes of address space that this process uses now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def enter_jail(jail: Jail, *, parent: int, answer: int, limits: Limits) -> None:
    """Confine this process, a fresh fork of process `parent`; descriptor `answer` stays open.

    Raises OSError or ValueError when a layer is refused: then the candidate must not run.
    """
    os.setsid()
    die_with(parent)
    gpu = jail.gpu is not None
    ruleset = jail.ruleset
    if ruleset is not None and jail.gpu is not None:
        ruleset = landlock.build(jail.gpu)
    keep_only({answer} if ruleset is None else {answer, ruleset})
    os.environ.clear()
    limit_resources(limits, jail.base_memory, gpu=gpu)
    privileges.drop(jail.identity, kept=jail.kept)
    die_with(parent)  # the kernel forgets it when an identity changes
    prctl(PR_SET_DUMPABLE, int(gpu))  # it may not write to its own /proc otherwise
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if ruleset is not None:
        landlock.enter(ruleset)
        os.close(ruleset)
    if jail.program is not None:
        seccomp.install(seccomp.for_process(jail.program, os.getpid()))


def die_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Ask for a signal when the parent ends. Raises OSError where it already has."""
    prctl(PR_SET_PDEATHSIG, int(by))
    if os.getppid() != parent:
        raise OSError(f"the parent is process {os.getppid()}; it must be {parent}")


def keep_only(kept: set[int]) -> None:
    """Point the standard streams at /dev/null and close every other descriptor but `kept`."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def limit_resources(limits: Limits, base_memory: int, *, gpu: bool = False) -> None:
    """Lower every limit, for good.

    CUDA reserves far more address space than it uses, so on a GPU only private memory that can
    be written counts; the supervisor watches the rest. CUDA also writes files in memory: those
    that are open hold no more than the memory allowed, but those that are mapped may be closed.
    """
    threads = limits.threads + gpu  # CUDA has some of its own
    cpu_seconds = math.ceil(limits.timeout_s * threads) + 1
    memory = base_memory + limits.memory_bytes
    opened = MAX_GPU_FILES if gpu else MAX_OPEN_FILES
    written = limits.memory_bytes // opened if gpu else 0  # the answer goes through a pipe
    core = int(resource.getrlimit(resource.RLIMIT_CORE)[1] != 0)  # not above what it is
    for name, soft, hard in (
        (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),
        (resource.RLIMIT_NOFILE, opened, opened),
        (resource.RLIMIT_FSIZE, written, written),
        (resource.RLIMIT_CORE, core, core),  # 0 would still feed a program that takes dumps
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_SIGPENDING, MAX_SIGNALS, MAX_SIGNALS),
        (resource.RLIMIT_DATA if gpu else resource.RLIMIT_AS, memory, memory),
    ):
        resource.setrlimit(name, (soft, hard))
    if _HUGE_PAGES.exists():
        prctl(PR_SET_THP_DISABLE, 1)  # they stay whole until all of them is unmapped


def _gpu_files() -> Mapping[Path, int]:
    writes = [Path("/proc/self/task"), *Path("/dev").glob("nvidia*")]  # CUDA names its threads
    return dict.fromkeys(map(Path, _GPU_READS), landlock.READ) | dict.fromkeys(
        writes, landlock.DEVICE
    )
