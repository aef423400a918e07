"""What a run tells of its machine and commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deltanas.search.machine import commit, machine


def test_a_checkout_tells_its_commit_and_whether_files_differ(tmp_path: Path) -> None:
    assert commit(tmp_path) is None

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "one")
    assert commit(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "file").write_text("two")
    assert commit(tmp_path) == git("rev-parse", "HEAD") + "-dirty"


def test_the_machine_has_cores_and_memory() -> None:
    found = machine()
    assert int(found["cores"]) >= 1
    assert found["memory"].endswith(" GiB")
    assert all(found.values())
