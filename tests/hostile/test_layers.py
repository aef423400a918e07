"""Each layer without the others: what it stops, and that it stops nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deltanas.evaluate.jail import landlock, privileges, seccomp
from deltanas.evaluate.jail.layers import around, readable
from deltanas.evaluate.supervise import MAX_AHEAD_S
from tests.evaluate.processes import parents, wait_for
from tests.hostile.canaries import Canaries

ROOT = Path(__file__).parents[2]

needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
needs_seccomp = pytest.mark.skipif(not seccomp.available(), reason="this kernel has no seccomp")
needs_root = pytest.mark.skipif(
    privileges.plain_id() is None, reason="only root can become another user"
)

_LANDLOCK = {"read", "list", "write"}
_LANDLOCK |= {"tcp"} if landlock.version() >= 4 else set()
_LANDLOCK |= {"abstract", "signal_parent"} if landlock.version() >= 6 else set()
_SECCOMP = {"write", "chmod", "tcp", "abstract", "signal_parent", "fork", "exec", "ptrace"}
_SECCOMP |= {"memory_file", "descriptor_owner", "become_root", "shared_memory", "raise_limit"}
_SECCOMP |= {"huge_pages"}  # it may not ask
_LIMITS = {"write", "memory", "huge_pages", "many_files", "raise_limit"}

STOPPED = [
    pytest.param("landlock", _LANDLOCK, marks=needs_landlock),
    pytest.param("seccomp", _SECCOMP, marks=needs_seccomp),
    pytest.param("noopen", _SECCOMP | {"read", "read_library", "list"}, marks=needs_seccomp),
    pytest.param("identity", {"chmod", "signal_parent", "become_root"}, marks=needs_root),
    pytest.param("identity_reading", {"chmod", "signal_parent", "become_root"}, marks=needs_root),
    pytest.param("limits", _LIMITS | {"shared_memory", "reserve"}),
    pytest.param("limits_gpu", _LIMITS - {"write"}),  # a little may be written, into memory
    pytest.param("descriptors", {"spare_descriptor", "standard_output"}),
]


def run(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # layers are for the only thread
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tried(layer: str, canaries: Canaries) -> dict[str, str]:
    """Return what every attempt came to inside one layer."""
    known = canaries.describe()
    where = str(known["folder"]), str(known["tcp"]), str(known["abstract"])[1:]
    found: dict[str, str] = json.loads(run("tests.hostile.layers", layer, *where))
    canaries.traces()  # these attempts may leave some
    return found


@pytest.fixture(scope="module")
def free(canaries: Canaries) -> dict[str, str]:
    return tried("none", canaries)


@pytest.mark.parametrize(("layer", "stopped"), STOPPED)
def test_a_layer_alone(
    layer: str, stopped: set[str], free: dict[str, str], canaries: Canaries
) -> None:
    found = tried(layer, canaries)
    changed = {name for name in found if found[name] != free[name]}
    possible = {name for name in free if free[name] != "PermissionError"}  # to an ordinary user
    assert changed == stopped & possible, found


def test_a_child_dies_with_its_supervisor_also_after_it_changed_its_identity() -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.hostile.orphan"], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert program.stdout is not None
    child = int(program.stdout.readline())
    assert child in parents()
    program.send_signal(signal.SIGKILL)
    program.wait()
    wait_for(lambda: child not in parents(), patience_s=10)
    program.stdout.close()


@pytest.mark.parametrize(
    ("work", "ending"), [("swell", "swollen"), ("scatter", "swollen"), ("crowd", "crowded")]
)
def test_memory_and_threads_are_looked_at(work: str, ending: str) -> None:
    report = json.loads(run("tests.hostile.watched", work))
    assert report["ending"] == ending
    assert report["exit_code"] == -signal.SIGKILL


def test_a_lower_limit_of_core_dumps_stays() -> None:
    """An ordinary user cannot raise it."""
    program = """
import resource
from deltanas.evaluate.jail import layers, privileges
from deltanas.evaluate.channel import Limits
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
privileges.drop(privileges.plain_id())
limits = Limits(timeout_s=1, memory_bytes=2**30, threads=1, max_parameters=1, max_macs=1)
layers.limit_resources(limits, 2**30)
print(resource.getrlimit(resource.RLIMIT_CORE))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "(0, 0)\n", done.stderr


def test_no_more_is_computed_at_once_than_given() -> None:
    """Where other programs leave the child one core, it gets no chance to take more."""
    report = json.loads(run("tests.hostile.watched", "burn"))
    assert report["exit_code"] != 0
    assert report["cpu_seconds"] < report["seconds"] + MAX_AHEAD_S + 2  # it is looked at in turns


def test_no_file_with_labels_is_readable(tmp_path: Path) -> None:
    labels = tmp_path / "lib" / "site-packages" / "deltanas" / "evaluate" / "images" / "digits.npz"
    other = tmp_path / "lib" / "site-packages" / "torch" / "nn"
    for folder in (labels.parent, other):
        folder.mkdir(parents=True)
    labels.touch()
    (tmp_path / "lib" / "link").symlink_to(labels)
    allowed = dict(around(tmp_path / "lib", {labels.parents[1]}))
    read = {path for path, rights in allowed.items() if rights & landlock.READ_FILE}
    assert any(other.is_relative_to(path) for path in read)
    assert not any(labels.is_relative_to(path) for path in read)
    assert tmp_path / "lib" / "link" not in allowed


def test_neither_checkout_nor_home_is_readable() -> None:
    read = [path for path, rights in readable().items() if rights & landlock.READ_FILE]
    for secret in (ROOT / "deltanas", ROOT / "runs", Path.home() / ".ssh", Path("/etc/passwd")):
        assert not any(secret.is_relative_to(path) for path in read), secret


def test_what_others_cannot_reach_is_seen(tmp_path: Path) -> None:
    place = tmp_path / "closed" / "open"
    place.mkdir(parents=True)
    for folder in (place, *place.parents[:1]):
        folder.chmod(0o755)
    assert landlock.world_readable([Path("/usr/lib"), Path("/no/such/file")])
    (tmp_path / "closed").chmod(0o700)
    assert not landlock.world_readable([place])
