"""A network's source with its syntax tree: where layers are, and how to change only their text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from deltanas.propose.edits.calls import kind
from deltanas.source import FROZEN

_MARKS = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
_LEAVES = (ast.Constant, ast.Name)
_LINE_END = re.compile(rb"\r\n?|\n")  # as the parser counts lines
_COMMENT = re.compile(rb"#[^\r\n]*")

Span = tuple[int, int, str]  # first byte, byte after the last, new text


@dataclass(frozen=True, slots=True)
class Container:
    """A list of layers in order: the arguments of `nn.Sequential`, or a list added to `layers`."""

    node: ast.expr
    elements: tuple[ast.expr, ...]


class View:
    """Read-only look at one source text; offsets are in bytes of its UTF-8 form.

    Raises SyntaxError when the code does not parse.
    """

    def __init__(self, code: str) -> None:
        self.data = code.encode()
        self.tree = ast.parse(code)
        self.starts = [0, *(end.end() for end in _LINE_END.finditer(self.data))]
        self.starts.append(len(self.data))
        self.parents: dict[ast.AST, ast.AST] = {}
        self.nodes: list[ast.AST] = []  # all but those of the frozen functions, in textual order
        self.frozen: list[ast.FunctionDef] = []
        self._ends: dict[ast.AST, tuple[int, int]] = {}
        self._walk(self.tree)
        self._all = self.nodes
        self.classes: dict[str, ast.ClassDef] = {}
        self.functions: dict[str, ast.FunctionDef] = {}
        self._keep_live()
        self.builders = {
            n.name for n in self.nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)
        }
        self.calls = [node for node in self.nodes if isinstance(node, ast.Call)]
        self.containers = list(self._containers())

    def _walk(self, node: ast.AST) -> None:
        begin = len(self.nodes)
        for name in node._fields:
            value = getattr(node, name)
            for child in value if isinstance(value, list) else (value,):
                if not isinstance(child, ast.AST) or isinstance(child, _MARKS):
                    continue
                if isinstance(child, ast.FunctionDef) and child.name in FROZEN:
                    self.frozen.append(child)
                    continue
                self.parents[child] = node
                self.nodes.append(child)
                if not isinstance(child, _LEAVES):
                    self._walk(child)
        self._ends[node] = begin, len(self.nodes)

    def _keep_live(self) -> None:
        """Keep the nodes that `Net` depends on: an edit of dead code changes nothing."""
        tops: dict[str, list[ast.stmt]] = {}
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                tops.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        tops.setdefault(target.id, []).append(node)
        live: set[ast.stmt] = set()
        waiting = list(tops.get("Net", self.tree.body))
        while waiting:
            node = waiting.pop()
            if node not in live:
                live.add(node)
                for inner in self.below(node):
                    if isinstance(inner, ast.Name):
                        waiting += tops.get(inner.id, [])
        self.nodes = []
        for node in self.tree.body:
            if node in live:
                self.nodes += [node, *self.below(node)]
                if isinstance(node, ast.ClassDef):
                    self.classes[node.name] = node
                elif isinstance(node, ast.FunctionDef):
                    self.functions[node.name] = node

    def owner(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the class that holds a node."""
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, ast.ClassDef):
                return node
        return None

    def below(self, node: ast.AST) -> list[ast.AST]:
        """Return every node inside this one, in textual order, without the frozen functions."""
        begin, end = self._ends.get(node, (0, 0))  # a leaf has nothing below
        return self._all[begin:end]

    def aliases(self) -> list[ast.alias]:
        """Return the names that the imports bind."""
        return [n for n in self._all if isinstance(n, ast.alias)]

    def fixed_text(self) -> list[str]:
        """Return the source of all that no edit may touch: imports and frozen functions."""
        imports = [n for n in self._all if isinstance(n, ast.Import | ast.ImportFrom)]
        return [self.text(node) for node in (*imports, *self.frozen)]

    def _containers(self) -> Iterator[Container]:
        for node in self.nodes:
            if isinstance(node, ast.Call) and kind(node) == "Sequential":
                elements = node.args
            elif isinstance(node, ast.List) and self._is_layer_list(node):
                elements = node.elts
            else:
                continue
            plain = all(isinstance(e, ast.Call | ast.Name) for e in elements)
            if not plain or self.ends(node, elements) != [*map(self.end, elements)]:
                continue  # something else, or a layer in brackets of its own
            if any(isinstance(e, ast.Call) for e in elements):
                yield Container(node, tuple(elements))

    def ends(self, node: ast.expr, elements: list[ast.expr]) -> list[int]:
        """Return the offset after each element of a list or call, brackets of its own included."""
        limits = [*map(self.start, elements[1:]), self.end(node) - 1]
        return [*map(self.closed, elements, limits)]

    def _is_layer_list(self, node: ast.List) -> bool:
        parent = self.parents[node]
        if isinstance(parent, ast.Call):
            return isinstance(parent.func, ast.Attribute) and parent.func.attr == "extend"
        return isinstance(parent, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return)

    def start(self, node: ast.expr | ast.stmt) -> int:
        """Return the offset of the node's first byte."""
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        """Return the offset after the node's last byte."""
        return self.starts[_given(node.end_lineno) - 1] + _given(node.end_col_offset)

    def closed(self, node: ast.expr, limit: int) -> int:
        """Return the offset after the node and its own brackets, which close before `limit`."""
        return self.end(node) + self._between(self.end(node), limit).rfind(b")") + 1

    def below_line(self, node: ast.stmt) -> int:
        """Return the offset of the line after the node's last one."""
        return self.starts[_given(node.end_lineno)]

    def _between(self, first: int, last: int) -> bytes:
        """Return what stands between two nodes, with blanks for comments."""
        return _COMMENT.sub(lambda found: b" " * len(found[0]), self.data[first:last])

    def text(self, node: ast.expr | ast.stmt) -> str:
        """Return the node's source text."""
        return self.data[self.start(node) : self.end(node)].decode()

    def replaced(self, spans: Iterable[Span]) -> str:
        """Return the source with every span replaced; spans must not overlap."""
        data = self.data
        for first, last, new in sorted(spans, reverse=True):
            data = data[:first] + new.encode() + data[last:]
        return data.decode()

    def swap(self, node: ast.expr, new: str) -> Span:
        """Return the span that replaces a node by new text."""
        return self.start(node), self.end(node), new

    def indent(self, node: ast.expr | ast.stmt) -> str:
        """Return what stands before a node on its line."""
        return self.data[self.starts[node.lineno - 1] : self.start(node)].decode()

    def fills_lines(self, node: ast.stmt) -> bool:
        """Tell whether a statement shares its lines with no other, and the last has an end."""
        tail = self._between(self.end(node), self.below_line(node))
        return self.opens_line(node) and not tail.strip() and tail.endswith((b"\n", b"\r"))

    def opens_line(self, node: ast.expr | ast.stmt) -> bool:
        """Tell whether only blanks stand before the node on its line."""
        return not self.data[self.starts[node.lineno - 1] : self.start(node)].strip()

    def insertion(self, container: Container, index: int, layers: Iterable[str]) -> Span:
        """Return the span that puts layers after element `index`, laid out like the container."""
        element = container.elements[index]
        lines = {e.lineno for e in container.elements}
        if len(lines) == len(container.elements) and (len(lines) > 1 or self.opens_line(element)):
            blanks = " " * element.col_offset
            joint = ",\n" + (self.indent(element) if self.opens_line(element) else blanks)
        else:
            joint = ", "
        at = self.end(element)
        return at, at, "".join(joint + layer for layer in layers)

    def removal(self, container: Container, index: int) -> Span:
        """Return the span that removes an element with its comma, and lines it fills."""
        elements = container.elements
        following = elements[index + 1 : index + 2]
        first, last = self.start(elements[index]), self.end(elements[index])
        limit = self.start(following[0]) if following else self.end(container.node) - 1
        comma = self._between(last, limit).find(b",")
        tail = last + (comma == 0)
        newline = self.data.find(b"\n", tail)
        alone = comma <= 0 and not self.data[tail:newline].strip()
        if alone and self.opens_line(elements[index]):
            return self.starts[elements[index].lineno - 1], newline + 1, ""
        if following:
            return first, limit, ""
        return (self.end(elements[index - 1]) if index else first), last, ""

    def with_keyword(self, call: ast.Call, name: str, value: str) -> Span:
        """Return the span that adds `name=value` as the last argument of a call with arguments."""
        at = self.last_end(call)
        return at, at, f", {name}={value}"

    def last_end(self, call: ast.Call) -> int:
        """Return the offset after the last argument of a call, its brackets included."""
        last = max([*call.args, *(k.value for k in call.keywords)], key=self.end)
        return self.closed(last, self.end(call) - 1)

    def prefix(self, call: ast.Call) -> str:
        """Return what stands before the called name: `nn.` in `nn.ReLU()`, empty in `ReLU()`."""
        return self.text(call.func.value) + "." if isinstance(call.func, ast.Attribute) else ""


def _given(position: int | None) -> int:
    """Return a position that every parsed node has; only nodes made by hand may lack it."""
    if position is None:
        raise ValueError("a node without a position was not parsed from text")
    return position


@lru_cache(maxsize=16)
def view_of(code: str) -> View:
    """Return the view of a source text; views of the last few texts are kept."""
    return View(code)
