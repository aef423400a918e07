"""Which literals of a network are one width: its producer, its consumers, its repetitions."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from deltanas.propose.edits.calls import dotted, factors, integer


@dataclass
class Width:
    """One width: every literal that holds it, each as `factor` times the width."""

    value: int
    slots: list[tuple[ast.expr, int]] = field(default_factory=list)
    divisors: list[int] = field(default_factory=list)  # the width must stay divisible by these
    locked: bool = False
    produced: bool = False
    consumed: bool = False
    guessed: bool = False  # it took in a literal behind a block whose output width is not seen
    linear: bool = False  # features of a vector, not channels of an image
    into: Width | None = None

    def root(self) -> Width:
        """Return the width that this one was merged into."""
        return self if self.into is None else self.into.root()

    def free(self) -> bool:
        """Tell whether the width has a producer and a consumer and may change."""
        return self.produced and self.consumed and bool(self.slots) and not self.locked


class Ledger:
    """The widths met so far, the names bound to them, and the width of the tensor at hand."""

    def __init__(self) -> None:
        self.widths: list[Width] = []
        self.names: dict[str, Width | None] = {}
        self.current: Width | None = None
        self.lost = False  # the tensor at hand left a block whose output width is not seen
        self.mismatch = False  # a layer's input was not the last layer's output
        self.used: set[int] = set()  # id of every literal that was understood

    def new(self, value: int) -> Width:
        """Start a width that no literal holds yet."""
        width = Width(value)
        self.widths.append(width)
        return width

    def join(self, width: Width, node: ast.expr, factor: int = 1) -> Width:
        """Record a literal as an appearance of the width."""
        width = width.root()
        if id(node) not in self.used:
            width.slots.append((node, factor))
            self.used.add(id(node))
        return width

    def merge(self, one: Width, other: Width) -> Width:
        """Make two widths one; return it."""
        one, other = one.root(), other.root()
        if one is not other:
            one.slots += other.slots
            one.divisors += other.divisors
            one.locked |= other.locked
            one.produced |= other.produced
            one.consumed |= other.consumed
            one.guessed |= other.guessed
            one.linear &= other.linear
            other.into = one
        return one

    def consume(self, node: ast.expr | None, *, flat: bool = False) -> Width | None:
        """Bind an input width: the current width, a named one, or a product that holds it.

        With `flat`, a literal may be a multiple: 9216 features of 256 channels of 6 x 6 pixels.
        """
        current = self.current.root() if self.current else None
        if node is None:
            return current
        value = integer(node)
        if value is not None:
            if current and value == current.value:
                current.consumed = True
                return self.join(current, node)
            whole = current and current.value > 0 and value % current.value == 0
            if flat and current and whole and not current.linear:
                current.consumed = True
                return self.join(current, node, value // current.value)
            return self.mismatched(node, value)
        if isinstance(node, ast.BinOp):
            return self.product(node)
        name = dotted(node)
        width = self.names.get(name)
        if width is None:
            if current:
                current.consumed = True
                current.locked |= name not in self.names
            return None
        width = width.root()
        width.consumed = True
        if current and current is not width:
            if current.value != width.value:
                self.mismatch = True
            else:
                width = self.merge(width, current)
        return width

    def mismatched(self, node: ast.expr, value: int) -> Width:
        """Bind a literal that is not the current width: to an earlier equal one, or to none."""
        self.mismatch |= self.current is not None
        for width in reversed(self.widths):
            if width.root().value == value and width.root().produced:
                width.root().consumed = True
                width.root().guessed |= self.lost  # the block may put out the same number
                return self.join(width, node)
        if self.current:
            self.current.root().locked = True  # it reaches this layer changed in a way not seen
        width = self.new(value)
        width.locked = True
        return self.join(width, node)

    def product(self, node: ast.BinOp) -> Width | None:
        """Bind the factor of a product that is the current width or a named one."""
        current = self.current.root() if self.current else None
        parts = factors(node)
        for part in parts:
            named = self.names.get(dotted(part)) if dotted(part) else None
            if named:
                if current and current is not named.root():
                    if current.value != named.root().value:
                        self.mismatch = True
                    else:
                        named = self.merge(named, current)
                named.root().consumed = True
                return named.root()
        for part in parts:
            if current and integer(part) == current.value:
                current.consumed = True
                return self.join(current, part)
        if current:
            current.locked = True
        for part in parts:
            value = integer(part)
            if value is not None and value >= 8:
                self.mismatched(part, value)
        return None

    def produce(self, node: ast.expr | None) -> Width | None:
        """Bind an output width and make it the current one."""
        self.lost = False
        value = integer(node)
        if node is not None and value is not None:
            self.current = self.join(self.new(value), node)
            self.current.produced = True
        else:
            named = self.names.get(dotted(node))
            self.current = named.root() if named else None
            if self.current:
                self.current.produced = True
        return self.current

    def refer(self, node: ast.expr | None) -> Width | None:
        """Bind a width that a layer only repeats, such as a norm's."""
        value = integer(node)
        if node is None or value is None:
            named = self.names.get(dotted(node))
            return named.root() if named else None
        current = self.current.root() if self.current else None
        if current and current.value == value:
            return self.join(current, node)
        return self.mismatched(node, value)

    def roots(self) -> list[Width]:
        """Return the distinct widths after all merges, in the order of their first literal."""
        return list({id(w.root()): w.root() for w in self.widths}.values())
