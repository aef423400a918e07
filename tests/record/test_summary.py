"""`summary.json` is written as a whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deltanas.record.summary import read_summary, write_summary, write_text
from deltanas.records import Summary


def test_summary_is_read_back_in_order(tmp_path: Path, summary: Summary) -> None:
    path = tmp_path / "summary.json"
    write_summary(path, replace(summary, valid=0))
    write_summary(path, summary)
    found = json.loads(path.read_text())
    assert read_summary(path) == summary
    assert list(found) == list(summary.flat())
    assert found["ablation"] is None
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]


def test_a_refused_summary_leaves_the_old_one(tmp_path: Path, summary: Summary) -> None:
    path = tmp_path / "summary.json"
    write_summary(path, summary)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_summary(path, replace(summary, valid_rate=float("nan")))
    assert read_summary(path) == summary


def test_text_that_utf8_cannot_hold_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / "page", "a\ud800b ρ")
    assert (tmp_path / "page").read_text(encoding="utf-8") == "a?b ρ"
