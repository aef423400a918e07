"""The import is complete, checked and all or nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from deltanas.archive.base import ArchiveError
from deltanas.archive.lemur import LemurArchive
from deltanas.archive.lemur_import import (
    EXPECTED,
    ImportCounts,
    available_cores,
    import_wheel,
    imported_counts,
)

COUNTS = ImportCounts(networks=8, statistics_files=11, trials=15)


def query(path: Path, text: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(text).fetchall()


def test_counts_are_those_of_the_wheel(wheel: Path, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "lemur.sqlite"
    assert import_wheel(wheel, path, expected=COUNTS) == COUNTS
    assert imported_counts(path) == COUNTS
    assert query(path, "SELECT count(*) FROM trials") == [(15,)]
    assert LemurArchive(path).meta["distinct"] == "7"
    assert LemurArchive(path).meta["complete"] == "7"


def test_texts_are_kept_whole_and_without_comments(
    wheel: Path, tmp_path: Path, networks: dict[str, str]
) -> None:
    path = tmp_path / "lemur.sqlite"
    import_wheel(wheel, path, expected=None)
    rows = query(path, "SELECT name, code, source FROM networks JOIN texts USING (network_id)")
    assert {str(name): zlib.decompress(code).decode() for name, code, _ in rows} == networks  # type: ignore[arg-type]
    for _, _, source in rows:
        text = zlib.decompress(source).decode()  # type: ignore[arg-type]
        assert "#" not in text
        assert '"""' not in text
        assert "\n\n" not in text


def test_a_trial_is_read_back_as_the_wheel_states_it(wheel: Path, tmp_path: Path) -> None:
    path = tmp_path / "lemur.sqlite"
    import_wheel(wheel, path, expected=None)
    columns = "dataset, epoch, accuracy, lr, momentum, batch, dropout, transform, uid, duration"
    of = "FROM trial_rows WHERE network = "
    assert query(path, f"SELECT {columns} {of} 'ga-2'") == [
        ("cifar-10", 1, 0.4, 0.01, 0.9, 8, None, "norm", "norm-0.4", 10**9)
    ]
    assert query(path, f"SELECT prm {of} 'AirNet'") == [('{"weight_decay": 0.1}',)]


def test_equal_syntax_trees_are_duplicates_of_the_first_by_name(
    wheel: Path, tmp_path: Path
) -> None:
    path = tmp_path / "lemur.sqlite"
    import_wheel(wheel, path, expected=None)
    assert query(path, "SELECT name, duplicate_of FROM networks WHERE duplicate_of NOT NULL") == [
        ("ga-2", "ga-1")
    ]


def test_code_that_does_not_parse_is_kept_but_has_no_source(
    networks: dict[str, str], make_wheel: Callable[..., Path], tmp_path: Path
) -> None:
    networks |= {"ga-4": "def broken(:\n", "ga-5": "def broken(\n"}
    path = tmp_path / "lemur.sqlite"
    import_wheel(make_wheel(), path, expected=None)
    columns = "lines, interface_ok, duplicate_of, code"
    rows = query(
        path,
        f"SELECT {columns} FROM networks JOIN texts USING (network_id) WHERE fingerprint = ''",
    )
    assert rows == [
        (0, 0, None, zlib.compress(networks[name].encode())) for name in ("ga-4", "ga-5")
    ]
    assert "ga-4" not in {network.name for network in LemurArchive(path).all_networks()}


def test_workers_write_the_same_tables(wheel: Path, tmp_path: Path) -> None:
    alone, helped = tmp_path / "alone.sqlite", tmp_path / "helped.sqlite"
    import_wheel(wheel, alone, expected=None)
    import_wheel(wheel, helped, expected=None, workers=1)
    for table in ("networks", "texts", "trials", "recipes", "datasets", "meta"):
        assert query(alone, f"SELECT * FROM {table}") == query(helped, f"SELECT * FROM {table}")


def test_progress_ends_at_the_total_of_each_stage(wheel: Path, tmp_path: Path) -> None:
    last: dict[str, tuple[int, int]] = {}

    def show(stage: str, done: int, total: int) -> None:
        last[stage] = (done, total)

    import_wheel(wheel, tmp_path / "lemur.sqlite", show, expected=None)
    assert last == {"trials": (11, 11), "networks": (8, 8)}


def test_other_counts_are_refused(wheel: Path, tmp_path: Path) -> None:
    path = tmp_path / "lemur.sqlite"
    with pytest.raises(ArchiveError, match=r"networks=8,.*must hold.*networks=10482"):
        import_wheel(wheel, path)
    assert not list(tmp_path.glob("lemur*"))


def test_another_version_is_refused(make_wheel: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "lemur.sqlite"
    with pytest.raises(ArchiveError, match=r"is nn-dataset 2\.2\.11; it must be .*2\.1\.2"):
        import_wheel(make_wheel("2.2.11"), path, expected=None)
    assert not path.exists()


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is not a file; it must be the wheel"):
        import_wheel(tmp_path / "missing.whl", tmp_path / "lemur.sqlite")
    text = tmp_path / "text.whl"
    text.write_text("no zip")
    with pytest.raises(ArchiveError, match=r"text\.whl is no intact zip"):
        import_wheel(text, tmp_path / "lemur.sqlite")


def test_a_damaged_entry_is_refused(wheel: Path, tmp_path: Path) -> None:
    content = bytearray(wheel.read_bytes())
    start = content.index(b"ab/nn/nn/ga-1.py") + len("ab/nn/nn/ga-1.py")
    content[start : start + 40] = bytes(40)
    wheel.write_bytes(content)
    with pytest.raises(ArchiveError, match="is no intact zip"):
        import_wheel(wheel, tmp_path / "lemur.sqlite", expected=None)
    assert not list(tmp_path.glob("lemur*"))


def test_trials_of_an_unknown_network_are_refused(
    networks: dict[str, str], make_wheel: Callable[..., Path], tmp_path: Path
) -> None:
    del networks["rl-bb"]
    with pytest.raises(ArchiveError, match="'rl-bb', which the wheel has not"):
        import_wheel(make_wheel(), tmp_path / "lemur.sqlite", expected=None)


def test_a_failed_import_keeps_what_was_there(wheel: Path, tmp_path: Path) -> None:
    path = tmp_path / "lemur.sqlite"
    import_wheel(wheel, path, expected=None)
    before = path.read_bytes()

    def fail(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_wheel(wheel, path, fail, expected=None)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.glob("lemur*")] == ["lemur.sqlite"]


def test_a_killed_import_leaves_no_half_file_and_the_next_cleans_up(
    wheel: Path, tmp_path: Path
) -> None:
    path = tmp_path / "lemur.sqlite"
    script = f"""
        import os, signal
        from pathlib import Path
        from deltanas.archive.lemur_import import import_wheel

        def kill(stage, done, total):
            if stage == "networks":
                os.kill(os.getpid(), signal.SIGKILL)

        import_wheel(Path({str(wheel)!r}), Path({str(path)!r}), kill, expected=None)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert [file.name for file in tmp_path.glob("lemur*")] == ["lemur.sqlite.partial"]
    import_wheel(wheel, path, expected=None)
    assert [file.name for file in tmp_path.glob("lemur*")] == ["lemur.sqlite"]


def test_two_imports_at_once_are_refused(wheel: Path, tmp_path: Path) -> None:
    path = tmp_path / "lemur.sqlite"
    refused: list[str] = []

    def begin_another(stage: str, done: int, total: int) -> None:
        with pytest.raises(ArchiveError, match=r"another import is writing .*\.partial") as caught:
            import_wheel(wheel, path, expected=None)
        refused.append(str(caught.value))

    import_wheel(wheel, path, begin_another, expected=None)
    assert len(refused) == 2
    assert imported_counts(path) == COUNTS


def test_a_folder_that_cannot_be_written_is_named(wheel: Path, tmp_path: Path) -> None:
    path = tmp_path / "lemur.sqlite"
    path.with_name("lemur.sqlite.partial").mkdir()
    with pytest.raises(ArchiveError, match=r"lemur\.sqlite\.partial.* unable to open"):
        import_wheel(wheel, path, expected=None)


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_what_is_no_import_has_no_counts(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "lemur.sqlite"
    if content is not None:
        path.write_bytes(content)
    assert imported_counts(path) is None


@pytest.mark.slow
@pytest.mark.skipif(
    "DELTANAS_LEMUR_WHEEL" not in os.environ, reason="DELTANAS_LEMUR_WHEEL names no wheel"
)
def test_the_real_wheel(tmp_path: Path) -> None:
    path = tmp_path / "lemur.sqlite"
    wheel = Path(os.environ["DELTANAS_LEMUR_WHEEL"])
    assert import_wheel(wheel, path, workers=available_cores()) == EXPECTED
    assert path.stat().st_size < 130_000_000
    archive = LemurArchive(path)
    assert len(list(archive.all_networks())) == int(archive.meta["distinct"])
    cifar = archive.best_epoch1("cifar10")
    assert len(cifar) > 5_000
    assert sorted(cifar.values())[len(cifar) // 2] == pytest.approx(0.44, abs=0.01)
    for dataset in ("cifar10", "cifar100", "mnist", "svhn", "imagenette", "celeba", "digits"):
        baselines = archive.baselines(dataset=dataset, max_image_size=64)
        assert len(baselines) > 500
        assert len({baseline.family for baseline in baselines}) >= 5
