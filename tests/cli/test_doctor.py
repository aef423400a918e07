"""The doctor names every fact, and what it says about the jail was tried."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deltanas.evaluate import JailError, choose


def consult(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deltanas.cli.doctor", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def test_a_machine_with_a_jail_is_well() -> None:
    try:
        tier = choose().tier
    except JailError as error:
        pytest.skip(str(error))
    found = consult()
    facts = dict(line.split(maxsplit=1) for line in found.stdout.splitlines())
    for name in ("system", "python", "torch", "memory", "GPU", "landlock", "seccomp", "user"):
        assert facts[name]
    assert facts["jail"] == tier
    assert facts["trial"].startswith("trained in ")
    if "root" not in facts["to"]:  # some containers do not let go of root
        assert facts["to"] == "do        nothing: python -m deltanas can start"
        assert found.returncode == 0
