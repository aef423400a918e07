"""What is stored about a network is what the rest of the program finds in its text."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from deltanas.archive.lemur_networks import examine
from deltanas.source import fingerprint, strip_comments

BUILTIN = Path(__file__).parents[2] / "deltanas" / "archive" / "builtin"


def test_source_and_fingerprint_are_those_of_every_network() -> None:
    code = "'one'\nclass A: 'one'  # one\ndef f():\n    '''one'''\n    'two'\n"
    found = examine(code)
    assert zlib.decompress(found.source).decode() == strip_comments(code)
    assert found.fingerprint == fingerprint(code)


@pytest.mark.parametrize("path", sorted(BUILTIN.glob("*.py")), ids=lambda path: path.stem)
def test_built_in_networks_have_the_interface(path: Path) -> None:
    assert examine(path.read_text()).interface_ok


def test_packages_imported_in_any_block_are_named_once() -> None:
    code = """
import a.b, os
try:
    from c.d import e
except E:
    import f
else:
    import g
finally:
    from .h import a
match x:
    case 1:
        import os
        import i
"""
    assert examine(code).imports == ". a c f g i os"
