"""No attack does any harm when it is handed to `deltanas-evaluate` as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deltanas.cli.evaluate import main
from deltanas.screen.policy import PolicyError, check_network
from tests.hostile.attack import Attack
from tests.hostile.attacks import ATTACKS
from tests.hostile.canaries import Canaries

REST = "\n\ndef supported_hyperparameters():\n    return {'lr'}\n"  # LEMUR's too
ONE_OF_EACH_PHASE = list({attack.phase: attack for attack in ATTACKS}.values())


def test_the_screen_lets_no_attack_into_the_jail(known: dict[str, Any]) -> None:
    for attack in ATTACKS:
        with pytest.raises(PolicyError) as caught:
            check_network(attack.code(known) + REST)
        assert caught.value.verdict == "policy", attack.name


@pytest.mark.parametrize("attack", ONE_OF_EACH_PHASE, ids=lambda attack: attack.name)
def test_an_attack_as_a_file_ends_in_a_verdict(
    attack: Attack,
    tmp_path: Path,
    canaries: Canaries,
    known: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "net.py"
    path.write_text(attack.code(known) + REST, encoding="utf-8")
    assert main([str(path)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["verdict"] == "policy"
    assert canaries.traces(found["reason"]) == []
