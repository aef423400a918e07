"""Where image sets are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from deltanas.evaluate.images.cache import default_cache, default_root
from deltanas.evaluate.images.image_data import DatasetError


def test_without_a_home_the_folders_are_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(name: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    for name in ("user_data_path", "user_cache_path"):
        monkeypatch.setattr(f"platformdirs.{name}", homeless)
    for folder in (default_root, default_cache):
        with pytest.raises(DatasetError, match="no home directory .* XDG_DATA_HOME"):
            folder()
