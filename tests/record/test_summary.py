"""`summary.json` is written as a whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deltanas.record.summary import write_summary, write_text


def test_summary_is_read_back_in_order(tmp_path: Path, summary: dict[str, object]) -> None:
    path = tmp_path / "summary.json"
    write_summary(path, {"old": 1})
    write_summary(path, summary)
    found = json.loads(path.read_text())
    assert found == summary
    assert list(found) == list(summary)
    assert found["ablation"] is None
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]


def test_a_refused_summary_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_summary(path, {"valid_rate": 0.5})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_summary(path, {"valid_rate": float("nan")})
    assert json.loads(path.read_text()) == {"valid_rate": 0.5}


def test_text_that_utf8_cannot_hold_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / "page", "a\ud800b ρ")
    assert (tmp_path / "page").read_text(encoding="utf-8") == "a?b ρ"
