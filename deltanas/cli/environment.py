"""What libraries read of the environment when they load: the one place where a process sets it.

Programs do so before they load any; a script that has loaded them starts itself once more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

# threads that spin while another process has the core: up to 88 x the time beside other work
CALM: Mapping[str, str] = {"OMP_WAIT_POLICY": "PASSIVE"}


def prepare() -> None:
    """Set what the user has not set; of use before torch is loaded."""
    for name, value in CALM.items():
        os.environ.setdefault(name, value)


def ensure(settings: Mapping[str, str] = CALM) -> None:
    """Return where the environment has these settings; else start this script anew with them."""
    if not os.environ.items() >= settings.items():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | settings)
