"""Which jail is chosen: the strongest there is, and never less than was asked for."""

from __future__ import annotations

import sys

import pytest

from deltanas.evaluate import JailError, LocalExecutor, Tier, blank_data, choose
from deltanas.evaluate.jail import landlock, seccomp


def offer(monkeypatch: pytest.MonkeyPatch, *, version: int, filters: bool) -> None:
    monkeypatch.setattr(landlock, "version", lambda: version)
    monkeypatch.setattr(seccomp, "available", lambda: filters)


@pytest.mark.parametrize(
    ("version", "filters", "asked", "tier"),
    [
        (7, True, "auto", Tier.STRONG),
        (1, True, "auto", Tier.STRONG),
        (0, True, "auto", Tier.NOOPEN),
        (7, True, "noopen", Tier.NOOPEN),
        (7, True, "weak", Tier.WEAK),
        (0, False, "weak", Tier.WEAK),
    ],
)
def test_a_tier_is_chosen(
    monkeypatch: pytest.MonkeyPatch, version: int, filters: bool, asked: str, tier: Tier
) -> None:
    offer(monkeypatch, version=version, filters=filters)
    found = choose(asked)
    assert found.tier is tier
    assert f"jail {tier}" in str(found)


@pytest.mark.parametrize(
    ("version", "filters", "asked", "message"),
    [
        (0, False, "auto", "executor.jail=weak accepts that"),
        (7, False, "auto", "no seccomp filter"),
        (0, True, "strong", "needs Landlock .* executor.jail=auto takes noopen"),
        (0, False, "noopen", "needs seccomp"),
    ],
)
def test_less_than_was_asked_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: int, filters: bool, asked: str, message: str
) -> None:
    offer(monkeypatch, version=version, filters=filters)
    with pytest.raises(JailError, match=message):
        choose(asked)


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    data = blank_data(image_size=8, channels=1, num_classes=2)
    with pytest.raises(JailError, match="this machine runs darwin. Use a Linux machine"):
        LocalExecutor(data, max_parameters=1, max_macs=1)
