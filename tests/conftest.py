"""What holds for every test: no network, no account, one thread, repeatable examples."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any

import pytest
from hypothesis import settings

pytest_plugins = ["tests.lemur_fixtures", "tests.llm_fixtures", "tests.run_fixtures"]

# Libraries read these when they are first imported, here or in a child process.
os.environ.update(
    OMP_NUM_THREADS="1",
    HF_HUB_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",
    WANDB_MODE="offline",
    WANDB_SILENT="true",
    MPLBACKEND="agg",
)
os.environ.pop("WANDB_API_KEY", None)

settings.register_profile("deltanas", deadline=None, derandomize=True)
settings.load_profile("deltanas")


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):  # the path of a Unix socket
        return True
    host = str(address[0]).partition("%")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections of this process that leave the machine; slow tests may open them."""
    if request.node.get_closest_marker("slow"):
        return
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: Any) -> None:
        if not _is_local(address):
            self.close()
            raise RuntimeError(f"the test connects to {address}; only slow tests may")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked gpu where there is no CUDA device."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
