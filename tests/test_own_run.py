"""A whole search on images and networks of the user's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from deltanas.cli.template import TEMPLATE
from tests.evaluate.images.test_folder import draw


def test_a_search_runs_on_ones_own_images_and_networks(tmp_path: Path) -> None:
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
