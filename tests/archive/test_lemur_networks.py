"""A network examined in pieces is the network examined as a whole."""

from __future__ import annotations

import ast
import hashlib
import zlib
from pathlib import Path

import pytest

from deltanas.archive.lemur_networks import examine
from deltanas.source import strip_comments

BUILTIN = Path(__file__).parents[2] / "deltanas" / "archive" / "builtin"
AWKWARD = {
    "decorated": "import torch\n@torch.no_grad()\ndef f():\n    return 1\n",
    "decorated methods": "class A:\n  @a\n  def f(): \n    x\n  @b\n  def f(): \n    x\n",
    "definition in a string": "x = '''\ndef f():\n'''\nclass A:\n    pass\n",
    "definition after a backslash": "x = 1 + \\\n2\ndef f(): pass",
    "docstrings alone": "'one'\nclass A:\n    'one'\ndef f():\n    'one'\n",
    "a docstring that is not the first": "class A:\n    'one'\n    'one'\n",
    "two on a line": "def f(): a = 1; b = 2\ndef g():  a = 1; b = 2\n",
    "blocks": "try:\n  a = 1\nexcept E:\n  a = 1\nelse:\n  b = 1\nfinally:\n  c = 1\n",
    "same heads": "if x:\n  a\nif x:\n  b\nelse:\n  c\nif x: a\nwhile x:\n  'one'\n",
    "match": "def f(x):\n    match x:\n        case 1:\n            return 'é'\n",
    "otherwise": "def f(x):\n  if x:\n    pass\n  elif y:\n    pass\n  else:\n    z\n",
    "carriage returns": "def f():\r\n  # one\r\n  return 1\r\n\r\ndef g():\r\n  return 1\r\n",
}


@pytest.mark.parametrize("code", AWKWARD.values(), ids=AWKWARD)
def test_source_and_syntax_tree_are_those_of_the_whole(code: str) -> None:
    check(code)


@pytest.mark.parametrize("path", sorted(BUILTIN.glob("*.py")), ids=lambda path: path.stem)
def test_built_in_networks_too(path: Path) -> None:
    check(path.read_text())
    assert examine(path.read_text()).interface_ok


def check(code: str) -> None:
    found = examine(code)
    source = strip_comments(code)
    assert zlib.decompress(found.source).decode() == source
    body = ", ".join(map(ast.dump, ast.parse(source).body))
    tree = f"Module(body=[{body}], type_ignores=[])"
    assert found.fingerprint == hashlib.sha256(tree.encode()).hexdigest()[:32]


def test_brackets_around_a_value_leave_the_syntax_tree_as_it_is() -> None:
    plain, other = "def f():\n    return 1\n", "def f():\n    return (1)  # one\n"
    assert examine(plain).fingerprint == examine(other).fingerprint
    assert examine(plain).fingerprint != examine(plain.replace("1", "2")).fingerprint
