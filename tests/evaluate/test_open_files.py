"""Limits of the shell that evaluation cannot live with."""

from __future__ import annotations

import resource

import pytest

from deltanas.evaluate import LocalExecutor, ZygoteError, load_data


def test_too_few_open_files_are_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (32, 32))
    with pytest.raises(ZygoteError, match=r"32 files open here, .* 128 .* `ulimit -n 1024`"):
        LocalExecutor(load_data("digits", seed=1), max_parameters=1, max_macs=1)
