"""A whole search on images and networks of the user's own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deltanas.cli import evaluate, export, replay
from deltanas.cli.search import resume
from deltanas.cli.template import TEMPLATE
from deltanas.config.ranges import ConfigError
from deltanas.record.store import RunStore
from deltanas.search.own import OWN
from tests.evaluate.images.test_folder import draw


def test_a_search_runs_on_ones_own_images_and_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "images", 30, "abc")
    networks = tmp_path / "networks"
    networks.mkdir()
    (networks / "mine.py").write_text(f'# recipe {{"lr": 0.01, "batch": 8}}\n{TEMPLATE}')
    (networks / "refused.py").write_text("x = 1\n")
    (networks / "broken.py").write_text(TEMPLATE.replace("32 * 4 * 4", "7"))
    process = subprocess.run(
        [
            *(sys.executable, "-m", "deltanas", f"hydra.run.dir={tmp_path / 'run'}"),
            *("dataset=folder", "dataset.root=images", "dataset.image_size=8"),
            *("dataset.name=pets", "archive=folder", "archive.path=networks"),
            *("ablation=random_edit", "tracker=none", "confirm.sample=0", "confirm.best=0"),
            *("protocol.cycles=1", "protocol.candidates=2", "protocol.finalists=0"),
            *("protocol.survey=2", "executor.workers=1"),
        ],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(Path(__file__).parents[1]), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert lines[0] == (
        "deltanas: 1 cycles x 2 candidates, llm=random_edit dataset=pets archive=folder"
        " ablation=random_edit seed=42"
    )
    assert "2 of 2 baselines of archive=folder fit random_edit" in lines
    assert any(line.startswith("left out of the archive: refused.py: ") for line in lines)
    assert any(line.startswith("broken does not train on pets: shape: ") for line in lines)
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["dataset"], summary["attempted"]) == ("pets", 2)
    assert summary["valid"] > 0
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    _trains_as_its_file_says(tmp_path, capsys)
    _goes_on_with_the_same_networks_only(tmp_path, capsys)


def _trains_as_its_file_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([str(tmp_path / "run"), str(tmp_path / "best.py")]) == 0
    lines = (tmp_path / "best.py").read_text().splitlines()
    (told,) = (line for line in lines if line.startswith("again "))
    words = shlex.split(told)[3:]
    assert evaluate.main([str(tmp_path / "best.py"), *words]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    with RunStore(tmp_path / "run/run.sqlite", read_only=True) as store:
        assert found["proxy_accuracy"] in {row.proxy_accuracy for row in store.attempts()}


def _goes_on_with_the_same_networks_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, path = tmp_path / "run", tmp_path / "networks/mine.py"
    with RunStore(run / "run.sqlite") as store:
        store.set_meta("finished", False)
    path.write_text(path.read_text().replace("0.01", "0.5"))
    with pytest.raises(ConfigError, match=r"networks are not those .* \(changed: mine\)"):
        resume(run)
    assert replay.main([str(run)]) == 2
    assert "(changed: mine)" in capsys.readouterr().err
    with RunStore(run / "run.sqlite") as store:
        held = store.meta(OWN)
        store.set_meta(OWN, None)  # as a run of an earlier version
    resume(run)
    with RunStore(run / "run.sqlite") as store:
        store.set_meta(OWN, held)
        store.set_meta("finished", False)
    path.write_text(path.read_text().replace("0.5", "0.01"))
    os.utime(tmp_path / "images/a/1.png", (1, 1))
    with pytest.raises(ConfigError, match="the images of .*/images are not those"):
        resume(run)
