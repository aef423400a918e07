"""Comments, docstrings and blank lines go; everything else stays."""

from __future__ import annotations

import pytest

from deltanas.source import fingerprint, strip_comments


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("x = 1  # it's one\n\n# don't\n", "x = 1\n"),
        ("x = '#'  # one\ny = 2\n", "x = '#'\ny = 2\n"),
        ("x = 'a \\\n# b'\n", "x = 'a \\\n# b'\n"),
        ("x = '''\n\n# b\n'''\ny = 1  # c\n", "x = '''\n\n# b\n'''\ny = 1\n"),
        ("'one'; x = 1\n", "'one'; x = 1\n"),
        ("def f():\n    '''one\n    two'''\n    return 1\n", "def f():\n    return 1\n"),
        ("class A:\n    'one'\n", "class A:\n    pass\n"),
        ("class A: 'one'\n", "class A: 'one'\n"),
        ('"""one"""\r\nx = 1', "x = 1\n"),
    ],
)
def test_only_comments_docstrings_and_blank_lines_go(code: str, left: str) -> None:
    assert strip_comments(code) == left
    assert fingerprint(code) == fingerprint(left)
