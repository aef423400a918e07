"""Mutated networks in the jail: each ends in a verdict about itself, and the executor lives on."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from deltanas.archive.builtin_archive import common_recipe, source
from deltanas.evaluate import ImageData, LocalExecutor, load_data
from deltanas.records import Evaluation, Job, Verdict
from tests.fuzz.mangling import STEMS, mutilate

QUICK, MANY = 40, 2000
TRAINED_SHARE = 0.1  # of the networks are trained, too; the others are built and measured
VALUES = (0, 1, -1, 2, 3, 7, 10**4, 10**9, 2**63, 0.5, -0.5, 1e308, True, None, "x", ())
RECIPE = common_recipe("digits")
# what a network with epochs=0 or 1 can end in: neither a verdict of the screen nor a sick worker
ENDINGS = frozenset(Verdict) - {
    Verdict.INFRASTRUCTURE,
    Verdict.NO_DELTA,
    Verdict.TRUNCATED,
    Verdict.MALFORMED,
    Verdict.MISAPPLIED,
    Verdict.AMBIGUOUS,
    Verdict.NO_OP,
    Verdict.POLICY,
    Verdict.NOT_NOVEL,
}


class _Mutation(ast.NodeTransformer):
    """Changes every node with a small probability."""

    def __init__(self, rng: Random, pool: list[ast.AST]) -> None:
        self.rng, self.pool = rng, pool

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if self.rng.random() > 0.01:
            return node
        match node:
            case ast.Constant():
                return ast.Constant(self.rng.choice(VALUES))
            case ast.Name():
                names = [one.id for one in self.pool if isinstance(one, ast.Name)]
                return ast.Name(self.rng.choice(names), node.ctx)
            case ast.Attribute():
                names = [one.attr for one in self.pool if isinstance(one, ast.Attribute)]
                return ast.Attribute(node.value, self.rng.choice(names), node.ctx)
            case ast.Call() if node.args:
                self.rng.shuffle(node.args)
                del node.args[self.rng.randrange(len(node.args) + 1) :]
            case ast.BinOp():
                node.op = self.rng.choice((ast.Add(), ast.Mult(), ast.Pow(), ast.FloorDiv()))
            case ast.FunctionDef() | ast.ClassDef() | ast.For() | ast.If():
                self.rng.shuffle(node.body)
                node.body = node.body[: self.rng.randrange(len(node.body)) + 1]
        return node


def mutant(rng: Random) -> str:
    """Return a built-in network with a few nodes, or a few pieces of its text, changed."""
    code = source(rng.choice(STEMS))
    if rng.random() < 0.3:
        return mutilate(code, rng, 1)
    for _ in range(20):
        tree = ast.parse(code)
        changed = ast.unparse(_Mutation(rng, list(ast.walk(tree))).visit(tree))
        if changed != ast.unparse(ast.parse(code)):
            return changed
    return code


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    whole: ImageData = load_data("digits", seed=7)
    few = replace(whole, train_rows=whole.train_rows[:256], train_labels=whole.train_labels[:256])
    with LocalExecutor(
        few, workers=1, timeout_s=10, memory_gb=1, max_parameters=10**6, max_macs=10**8
    ) as found:
        yield found


def honest(executor: LocalExecutor) -> Evaluation:
    (found,) = executor.map([Job(job_id="honest", code=source("lenet"), recipe=RECIPE)])
    return found


def check(executor: LocalExecutor, count: int) -> None:
    before = honest(executor)
    assert before.verdict is Verdict.TRAINED
    rng = Random(count)
    codes = {str(i): mutant(rng) for i in range(count)}
    jobs = [
        Job(job_id=name, code=code, recipe=RECIPE, epochs=int(rng.random() < TRAINED_SHARE))
        for name, code in codes.items()
    ]
    found = {evaluation.job_id: evaluation for evaluation in executor.map(jobs)}
    assert found.keys() == codes.keys()
    for name, evaluation in found.items():
        assert evaluation.verdict in ENDINGS, (evaluation, codes[name])
        assert "ended with status" not in evaluation.reason, codes[name]
    counts = Counter(evaluation.verdict for evaluation in found.values())
    assert counts[Verdict.TRAINED] < count, counts
    assert counts[Verdict.BUILD] > 0, counts
    assert honest(executor).curve == before.curve


def test_mutated_networks_end_in_verdicts(executor: LocalExecutor) -> None:
    check(executor, QUICK)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_mutated_networks_end_in_verdicts(executor: LocalExecutor) -> None:
    check(executor, MANY)
