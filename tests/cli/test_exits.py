"""How programs end."""

from __future__ import annotations

import os
import signal

import pytest

from deltanas.cli.exits import Terminated, ending


def test_sigterm_ends_as_ctrl_c_does_with_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    cleaned = []

    def action() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        except KeyboardInterrupt:
            cleaned.append("up")
            raise

    assert ending("deltanas-x", action) == 143
    assert cleaned == ["up"]
    assert capsys.readouterr().err == "deltanas-x: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_has_the_code_of_ctrl_c() -> None:
    def action() -> None:
        raise KeyboardInterrupt

    assert ending("deltanas-x", action) == 130
    assert issubclass(Terminated, KeyboardInterrupt)
