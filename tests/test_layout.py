"""How long files and functions may get."""

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PACKAGE = sorted((CHECKOUT / "deltanas").rglob("*.py"))
LOOP, FILE, FUNCTION = 130, 300, 60  # lines


def test_the_paper_s_algorithm_is_one_short_file() -> None:
    text = (CHECKOUT / "deltanas/search/loop.py").read_text()
    assert text.count("\n") <= LOOP


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= FILE
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION
    }
    assert not long
