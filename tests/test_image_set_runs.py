"""The whole program on every image set of the paper, each a miniature in its real files."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluate.images.miniatures import WRITERS

CHECKOUT = Path(__file__).parents[1]
PROGRAM = """
import pytest
from deltanas.__main__ import main
from tests.evaluate.images.miniatures import COUNTS, patch_sources, without_checksums

with pytest.MonkeyPatch.context() as patch:
    without_checksums(patch)
    patch_sources(patch, COUNTS)
    main()
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("datasets")
    for write in WRITERS.values():
        write(root)
    return root


def search(directory: Path, root: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    common = (
        "protocol.cycles=1",
        "protocol.finalists=0",
        "confirm.sample=0",
        "confirm.best=0",
        "tracker=none",
    )
    return subprocess.run(
        [
            *(sys.executable, "-c", PROGRAM, f"hydra.run.dir={directory}"),
            *(f"dataset.root={root}", *common, "lora.minimum_gain=-1", *overrides),
        ],
        cwd=CHECKOUT,
        env={**os.environ, "XDG_CACHE_HOME": str(root / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.mark.parametrize("dataset", WRITERS)
def test_a_search_runs_on_every_image_set(dataset: str, root: Path, tmp_path: Path):
    directory = tmp_path / "run"
    words = (f"dataset={dataset}", "ablation=random_edit", "protocol.candidates=2")
    process = search(directory, root, *words)
    assert process.returncode == 0, process.stderr
    summary = json.loads((directory / "summary.json").read_text())
    assert (summary["dataset"], summary["attempted"]) == (dataset, 2)
    assert summary["valid"] > 0
    assert (directory / "report.html").is_file()


def test_the_slots_of_a_cycle_take_turns_over_the_six(root: Path, tmp_path: Path):
    directory = tmp_path / "run"
    process = search(directory, root, "dataset=six", "protocol.candidates=7")
    assert process.returncode == 0, process.stderr
    with sqlite3.connect(directory / "run.sqlite") as connection:
        rows = connection.execute(
            "SELECT dataset, verdict, proxy_accuracy FROM attempts ORDER BY slot"
        ).fetchall()
    connection.close()
    assert [row[0] for row in rows] == [*WRITERS, next(iter(WRITERS))]
    trained = {dataset for dataset, verdict, _ in rows if verdict == "trained"}
    assert len(trained) >= 3
    assert all(0 <= proxy <= 1 for _, verdict, proxy in rows if verdict == "trained")
