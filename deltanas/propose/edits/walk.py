"""A walk over a network's layers in textual order that finds which literals are the same width."""

from __future__ import annotations

import ast
import re
from collections import Counter

from deltanas.propose.edits.calls import (
    NORMS,
    PRODUCERS,
    argument,
    conv_number,
    dotted,
    factors,
    integer,
    kind,
)
from deltanas.propose.edits.ledger import Ledger
from deltanas.propose.edits.view import View
from deltanas.source import FROZEN

IN_NAME = re.compile(
    r"in_?(ch|chs|chans|channels?|c|planes|dim|features|filters)|inp|cin|c_in|c1|nin|ch_in|input_dim"
)


OUT_NAME = re.compile(
    r"out_?(ch|chs|chans|channels?|c|planes|dim|features|filters)|oup|cout|c_out|c2|nout|ch_out"
    r"|output_dim|planes|filters"
)


SAME_NAME = re.compile(r"(num_)?(channels?|features)|dim|ch|c|chans|width|(embed|hidden)_dim")
DIVISOR_NAME = re.compile(r"(num_)?(groups|heads)|cardinality|reduction|scale|splits?|g|ratio")


class Walk:
    """Walk over the layers of one class or container; what it learns is in `ledger`."""

    def __init__(self, view: View, owner: ast.ClassDef | None) -> None:
        self.view = view
        self.ledger = Ledger()
        self.methods = {
            node.name: node
            for node in (owner.body if owner else [])
            if isinstance(node, ast.FunctionDef) and node.name not in FROZEN
        }
        self.called = Counter(
            node.func.attr
            for method in self.methods.values()
            for node in view.below(method)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        )

    def body(self, statements: list[ast.stmt]) -> None:
        """Walk over statements in order."""
        for statement in statements:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                self._assign(statement.targets[0], statement.value)
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                self._assign(statement.target, statement.value)
            elif isinstance(statement, ast.For | ast.While):
                self._loop(statement)
            elif isinstance(statement, ast.If):
                self._branch(statement)
            elif isinstance(statement, ast.With | ast.Try):
                self.body(statement.body)
            elif not isinstance(statement, ast.FunctionDef | ast.ClassDef):
                for child in ast.iter_child_nodes(statement):
                    self.expression(child)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        name = dotted(target)
        number = integer(value)
        current = self.ledger.current.root() if self.ledger.current else None
        if not name:
            self.expression(value)
        elif number is not None and number >= 4:
            same = current if current and current.value == number else self.ledger.new(number)
            self.ledger.names[name] = self.ledger.join(same, value)
        elif isinstance(value, ast.Name | ast.Attribute):
            self.ledger.names[name] = self.ledger.names.get(dotted(value))
        elif isinstance(value, ast.BinOp):
            known = [self.ledger.names.get(dotted(f)) for f in factors(value) if dotted(f)]
            product = any(w for w in known) or any(
                current and integer(f) == current.value for f in factors(value)
            )
            self.ledger.names[name] = self.ledger.product(value) if product else None
        else:
            self.expression(value)
            self.ledger.names[name] = None

    def _loop(self, loop: ast.For | ast.While) -> None:
        before = self.ledger.current.root() if self.ledger.current else None
        outside = {id(w.root()) for w in self.ledger.widths}
        assigned = {
            dotted(t)
            for node in self.view.below(loop)
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.For)
            for t in (node.targets if isinstance(node, ast.Assign) else [node.target])
        }
        for name in assigned:
            named = self.ledger.names.get(name)
            if named:
                named.root().consumed = True  # read by name in the first round
            self.ledger.names[name] = None
        self.body(loop.body)
        after = self.ledger.current.root() if self.ledger.current else None
        if before and after and before is not after:
            if before.value == after.value:
                self.ledger.merge(before, after)
            else:
                before.locked = after.locked = True
        for name in assigned:
            named = self.ledger.names.get(name)
            if named and id(named.root()) not in outside:
                named.root().locked = True
            self.ledger.names[name] = None
        if after is None or before is None:
            self.ledger.current = None

    def _branch(self, branch: ast.If) -> None:
        self.expression(branch.test)
        before, names = self.ledger.current, dict(self.ledger.names)
        self.body(branch.body)
        one, self.ledger.current = self.ledger.current, before
        after = self.ledger.names
        self.ledger.names = names
        self.body(branch.orelse)
        if one and self.ledger.current and one.root().value == self.ledger.current.root().value:
            self.ledger.current = self.ledger.merge(one, self.ledger.current)
        elif one is not self.ledger.current:
            for width in (one, self.ledger.current):
                if width:
                    width.root().locked = True
            self.ledger.current = None
        for name in set(after) | set(self.ledger.names):
            if after.get(name) is not self.ledger.names.get(name):
                for width in (after.get(name), self.ledger.names.get(name)):
                    if width:
                        width.root().locked = True
                self.ledger.names[name] = None

    def expression(self, node: ast.AST) -> None:
        """Walk over an expression; its layers read and set the current width."""
        if not isinstance(node, ast.Call):
            for child in ast.iter_child_nodes(node):
                self.expression(child)
            return
        name = kind(node)
        if name in PRODUCERS:
            self._layer(node)
        elif name in NORMS or name in ("LayerNorm", "PReLU"):
            position = 1 if name == "GroupNorm" else 0
            keyword = "num_channels" if name == "GroupNorm" else "num_features"
            width = self.ledger.refer(argument(node, position, keyword))
            groups = integer(argument(node, 0, "num_groups")) if name == "GroupNorm" else None
            if width and groups:
                width.divisors.append(groups)
        elif name in self.methods and dotted(node.func).startswith("self."):
            self._method(node, self.methods[name])
        elif name in self.view.classes or name in self.view.functions:
            self._block(node)
        else:
            for child in ast.iter_child_nodes(node):
                self.expression(child)

    def _layer(self, call: ast.Call) -> None:
        linear = kind(call) == "Linear"
        source = self.ledger.consume(
            argument(call, 0, "in_features" if linear else "in_channels"), flat=linear
        )
        out = self.ledger.produce(argument(call, 1, "out_features" if linear else "out_channels"))
        if out and linear:
            out.linear = True
        node = argument(call, 6, "groups") if not linear else None
        if node is None:
            return
        groups = conv_number(call, "groups", 1)
        for width in (source, out):
            if width and groups and groups == width.value and width is source:
                self.ledger.join(width, node)
            elif width and groups:
                width.divisors.append(groups)
        if source and out and groups == source.value and out.value == groups:
            self.ledger.current = self.ledger.merge(source, out)
        elif groups is None and out:
            out.locked = True
            if source:
                source.locked = True

    def _method(self, call: ast.Call, method: ast.FunctionDef) -> None:
        if self.called[method.name] > 1 or call.args or call.keywords or method.name == "forward":
            self._signature(call, method.args)
            return
        outer = self.ledger.names
        self.ledger.names = {k: v for k, v in outer.items() if k.startswith("self.")}
        self.body(method.body)
        self.ledger.names = outer | {
            k: v for k, v in self.ledger.names.items() if k.startswith("self.")
        }

    def _block(self, call: ast.Call) -> None:
        owner = self.view.classes.get(kind(call))
        if owner is None:
            self._signature(call, self.view.functions[kind(call)].args)
            return
        for node in owner.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                self._signature(call, node.args)
                return
        for child in ast.iter_child_nodes(call):
            self.expression(child)

    def _signature(self, call: ast.Call, signature: ast.arguments) -> None:
        """Treat a call of the file's own class or function as a layer, by its parameter names."""
        names = [a.arg for a in signature.args if a.arg not in ("self", "cls")]
        found = {n: argument(call, i, n) for i, n in enumerate(names)}
        given = [n for n in names if found[n] is not None]
        ins = [n for n in given if IN_NAME.fullmatch(n)]
        outs = [n for n in given if OUT_NAME.fullmatch(n)]
        same = [n for n in given if SAME_NAME.fullmatch(n)]
        divisors = [integer(found[n]) or 1 for n in given if DIVISOR_NAME.fullmatch(n)]
        source = self.ledger.consume(found[ins[0]]) if len(ins) == 1 else None
        if not ins and not outs and len(same) == 1:
            width = self.ledger.consume(found[same[0]])
            if width:
                width.divisors += divisors
            return
        if len(outs) != 1 or len(ins) > 1 or same:
            if self.ledger.current:
                self.ledger.current.root().locked = True
            self.ledger.current, self.ledger.lost = None, True
            return
        if not ins and self.ledger.current:
            self.ledger.current.root().consumed = True
        out = self.ledger.produce(found[outs[0]])
        for width in (source, out):
            if width:
                width.divisors += divisors
        if source and out and source.value == out.value:
            self.ledger.current = self.ledger.merge(source, out)
