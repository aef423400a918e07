"""How long files and functions may get, and that results were measured on what is committed."""

import ast
import json
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PACKAGE = sorted((CHECKOUT / "deltanas").rglob("*.py"))
RESULTS = sorted((CHECKOUT / "benchmarks" / "results").glob("*.json"))
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


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_a_result_was_measured_on_a_commit(path: Path) -> None:
    """A checkout that differs from its commit says so, and is to be measured again."""
    assert "dirty" not in json.loads(path.read_text())["commit"]
