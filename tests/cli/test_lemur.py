"""`deltanas-lemur` ends well or with one message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deltanas.archive.lemur import LemurArchive
from deltanas.cli.lemur import main


def test_info_states_the_counts(lemur: LemurArchive, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--path", str(lemur.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(lemur.path)
    assert ["networks", "8"] in [line.split() for line in lines]


def test_info_without_an_import_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", "--path", str(tmp_path / "none.sqlite")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("deltanas-lemur: no LEMUR archive at ")
    assert "`deltanas-lemur fetch`" in captured.err


def test_a_second_fetch_reads_nothing(
    lemur: LemurArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    before = lemur.path.stat().st_mtime_ns
    assert main(["fetch", "--wheel", "no such wheel", "--path", str(lemur.path)]) == 0
    assert "already imported" in capsys.readouterr().out
    assert lemur.path.stat().st_mtime_ns == before


def test_a_forced_fetch_reads_the_wheel(
    lemur: LemurArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fetch", "--force", "--wheel", "no such wheel", "--path", str(lemur.path)]
    assert main(arguments) == 2
    assert "no such wheel is not a file" in capsys.readouterr().err


def test_a_wheel_of_another_version_is_refused(
    make_wheel: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = make_wheel("2.2.11")
    path = tmp_path / "lemur.sqlite"
    assert main(["fetch", "--wheel", str(wheel), "--path", str(path)]) == 2
    assert "is nn-dataset 2.2.11; it must be" in capsys.readouterr().err
    assert not path.exists()


@pytest.fixture
def fake_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that puts a module named pip before the real one."""

    def put(code: str) -> None:
        package = tmp_path / "path" / "pip"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(package.parent))

    return put


def test_pip_brings_the_wheel(
    wheel: Path,
    tmp_path: Path,
    fake_pip: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_pip(
        "import shutil, sys\n"
        "*command, folder = sys.argv[1:]\n"
        "assert command == ['download', '--no-deps', 'nn-dataset==2.1.2', '-d'], command\n"
        f"shutil.copy({str(wheel)!r}, folder)\n"
    )
    path = tmp_path / "lemur.sqlite"
    assert main(["fetch", "--path", str(path)]) == 2
    errors = capsys.readouterr().err  # what it brought is the miniature: its counts are refused
    assert f"{wheel.name} holds ImportCounts(networks=8" in errors
    assert not path.exists()


def test_what_pip_says_last_is_repeated_with_a_way_out(
    tmp_path: Path, fake_pip: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    fake_pip("raise SystemExit('\\n'.join(['first', *'12345', 'ERROR: no [such] index']))")
    assert main(["fetch", "--path", str(tmp_path / "lemur.sqlite")]) == 2
    errors = capsys.readouterr().err
    assert "pip could not download nn-dataset==2.1.2 (exit code 1)" in errors
    assert "--wheel PATH" in errors
    assert "ERROR: no [such] index" in errors
    assert "first" not in errors


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bring"])
    assert "invalid choice: 'bring'" in capsys.readouterr().err
