"""The grammar of the deltas of one baseline, in llguidance's Lark dialect.

Context and removed lines can only be real lines of the baseline, in order. What is added instead
of removed lines opens and closes the brackets that those did, and, where names are locked, uses
only names that the baseline uses or that belong to the field.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

from deltanas.propose.hunks import HUNK, Excerpt

LONGEST_RUN = 16  # lines removed in one go
PAIRS = {")": "(", "]": "[", "}": "{"}

# what an edit may bring in, besides the names of the baseline
LAYERS = """AdaptiveAvgPool2d AdaptiveMaxPool2d AvgPool2d BatchNorm2d Conv2d Dropout Dropout2d ELU
    Flatten GELU GroupNorm Hardswish Identity InstanceNorm2d LeakyReLU Linear MaxPool2d Mish PReLU
    ReLU ReLU6 Sequential SiLU Sigmoid Tanh"""
FUNCTIONS = """adaptive_avg_pool2d adaptive_max_pool2d avg_pool2d dropout elu gelu hardswish
    leaky_relu max_pool2d mish relu sigmoid silu"""
ARGUMENTS = """affine bias dilation dim eps groups inplace kernel_size momentum negative_slope
    num_channels num_groups output_size p padding padding_mode start_dim stride"""
PYTHON = "False None True return"
ATTRIBUTES = "extra extra2 extra3 extra4"
METHODS = "flatten mean"
FIELD = frozenset(f"{LAYERS} {FUNCTIONS} {ARGUMENTS} {PYTHON} {ATTRIBUTES} {METHODS}".split())

_NAME = re.compile(r"[A-Za-z_]\w*")
_STATEMENT = re.compile(r"\s*(?:return |(self\.)?([A-Za-z_]\w*) [-+*\/]{0,2}= )")
# lines that are only ever copied under the lock: they open or unpack something, or set up training
_STRUCTURE = re.compile(
    r"\s*(?:import |from |super\(|self\.(?:device|criteria|optimizer) = ).*|.*[:(]|.*= \[\]"
    r"|.*\(\*.*|.{200,}"
)
_CHAIN = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_METHOD = re.compile(r"[)\]]\.([A-Za-z_]\w*)")
_NEVER_ADDED = frozenset({"class", "def", "elif", "else", "from", "import"})
_NO_BRACKET = re.compile(r"[^()\[\]{}]+")
_STRING = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"  # among them all that ends lines for some reader


def brackets(text: str) -> str:
    """Return the brackets that a text leaves open or closes beyond itself: `)` or `](`."""
    left: list[str] = []
    for character in _NO_BRACKET.sub("", _STRING.sub("", text)):
        if character in PAIRS and left and left[-1] == PAIRS[character]:
            left.pop()
        else:
            left.append(character)
    return "".join(left)


@lru_cache(maxsize=128)  # baselines come again in later cycles
def delta_grammar(view: Excerpt, *, lock_names: bool = False) -> str:
    """Return the grammar of the compact deltas of a baseline.

    A hunk starts at any shown line after the hunk before it and goes down without gaps. It changes
    at least one line: a run of up to 16 lines removed, one of lines added, or one after the other.
    Frozen lines can be context only, and nothing can be added between two of them.
    With `lock_names`, added text holds only what the baseline names and the field's own parts, a
    line that replaces an assignment or a return is one too, what other lines use stays defined,
    and lines stay that open a block or a call, unpack a list, set up training, or are very long.
    """
    rows = _Rows(view, lock_names)
    rules = ['start: "@@\\n" t0', *_added(view if lock_names else None)]
    for k in range(len(view.shown) + 1):
        rules += rows.at(k)
    for (signature, start), name in sorted(rows.additions.items(), key=lambda item: item[1]):
        parts = " ".join(
            f'"{bracket}" {"rest" if bracket in PAIRS else "text"}' for bracket in signature
        )
        rules.append(f'{name}: {json.dumps(f"+{start}")} text {parts} "\\n"')
    return "\n".join(rules) + "\n"


class _Rows:
    """The rules of every place between two shown lines.

    At place k: `t` starts a hunk at line k or later, `h` goes on unchanged so far, `c` follows a
    change, `d` follows context after a change, `r` removes the lines from s to k.
    """

    def __init__(self, view: Excerpt, lock_names: bool) -> None:
        self.view = view
        self.count = len(view.shown)
        self.lines = [view.lines[i] for i in view.shown]
        self.frozen = [
            i in view.frozen or (lock_names and _STRUCTURE.fullmatch(view.lines[i]) is not None)
            for i in view.shown
        ]
        self.starts = _statements(self.lines) if lock_names else [""] * self.count
        self.defined = _definitions(self.lines) if lock_names else [False] * self.count
        self.additions: dict[tuple[str, str], str] = {}  # brackets and first words, to rule
        opened = [brackets(line) for line in view.lines]
        self.brackets = [opened[i] for i in view.shown]
        before = [*accumulate(opened, lambda left, more: brackets(left + more), initial="")]
        self.slides = [_slide(before[i]) for i in view.shown] + [""]

    def at(self, k: int) -> list[str]:
        rules = []
        inside = k < self.count and self.view.joined(k)
        if k < self.count:
            line = json.dumps(f"{self.lines[k]}\n", ensure_ascii=False)[1:]
            rules.append(f'KEPT{k}: " {line}')
            if not self.frozen[k]:
                rules.append(f'REMOVED{k}: "-{line}')
            later = [f"t{k + 1}"] if k + 1 < self.count else []
            rules.append(_rule(f"t{k}", [f"KEPT{k} h{k + 1}", *self._remove(k, k), *later]))
        if k == 0:
            return rules
        goes_on = [f"KEPT{k}"] if inside else []
        change = self._remove(k, k) if inside else []
        if not (inside and self.frozen[k] and self.frozen[k - 1]):
            change += [f"{added} c{k}" for added in self._additions("", k, k)]
        end = ["", f'"{HUNK}\\n" t{k}'] if k < self.count else [""]
        rules.append(_rule(f"h{k}", [f"{kept} h{k + 1}" for kept in goes_on] + change))
        rules.append(_rule(f"c{k}", [*end, *(f"{kept} d{k + 1}" for kept in goes_on)]))
        rules.append(_rule(f"d{k}", [*end, *(f"{kept} d{k + 1}" for kept in goes_on), *change]))
        signature, needed = "", False
        for start in reversed(range(max(0, k - LONGEST_RUN), k)):
            if self.frozen[start] or (start + 1 < k and not self.view.joined(start + 1)):
                break
            signature = brackets(self.brackets[start] + signature)
            needed = needed or self.defined[start]
            choices = [f"{added} c{k}" for added in self._additions(signature, start, k)]
            if signature in ("", self.slides[start]) and not needed:
                choices.append(f"c{k}")
            if inside:
                choices += self._remove(start, k)
            rules.append(_rule(f"r{start}_{k}", choices))
        return rules

    def _remove(self, start: int, k: int) -> list[str]:
        if self.frozen[k] or k + 1 - start > LONGEST_RUN:
            return []
        return [f"REMOVED{k} r{start}_{k + 1}"]

    def _additions(self, signature: str, start: int, end: int) -> list[str]:
        """Return the rules of what may stand instead of lines with this signature."""
        slide = self.slides[start]
        allowed = ["", slide] if signature in ("", slide) else [signature]
        words = self.starts[start] if start < end else ""
        return [
            self.additions.setdefault((each, words), f"a{len(self.additions)}")
            for each in dict.fromkeys(allowed)
        ]


def _statements(lines: Sequence[str]) -> list[str]:
    """Return the words that each line, and what replaces it, must start with: `x = `, or ""."""
    return [match[0] if (match := _STATEMENT.match(line)) else "" for line in lines]


def _definitions(lines: Sequence[str]) -> list[bool]:
    """Tell of every line whether it assigns what other lines use and only it assigns.

    Attributes count whatever else assigns them, as several classes may have one of a name.
    """
    matches = [_STATEMENT.match(line) for line in lines]
    used = Counter(name for line in lines for name in set(_NAME.findall(line)))
    made = Counter(match[2] for match in matches if match)
    return [
        bool(match and used[match[2]] > 1 and (match[1] or made[match[2]] == 1))
        for match in matches
    ]


def _slide(open_brackets: str) -> str:
    """Return `][` inside a list, `)(` inside a call: text that ends it and starts another."""
    if not open_brackets:
        return ""
    opener = open_brackets[-1]
    return next(closer for closer, each in PAIRS.items() if each == opener) + opener


def _rule(name: str, choices: list[str]) -> str:
    return f"{name}: {' | '.join(choices)}" if choices else f"{name}: {_NEVER}"


_NEVER = "/[^\\x00-\\u{10FFFF}]/"


def _added(view: Excerpt | None) -> list[str]:
    """Return the rules of added text: paired brackets and, with a view, only known names.

    `text` may start with a word, `rest` stands after a closing bracket and may not: two words
    have a mark between them, or they would be a third.
    """
    rules = [
        "text: ATOM? more",
        "rest: TAIL? more",
        'more: (("\\n+" | "(" text ")" | "[" text "]" | "{" text "}") TAIL?)*',
    ]
    if view is None:
        characters = f"/[^()\\[\\]{{}}{_CONTROL}]+/"
        return [*rules, f"ATOM: {characters}", f"TAIL: {characters}"]
    code = "\n".join(view.lines[i] for i in view.shown)
    methods = sorted({*_METHOD.findall(code), *METHODS.split()})
    return [
        *rules,
        "MARK: /[ =,:*+\\-\\/%<>!]/",
        f"WORD: /{'|'.join(_words(code))}|[0-9]+(\\.[0-9]+)?(e-?[0-9]+)?/",
        f"PIECE: MARK | /({'|'.join(ARGUMENTS.split())})=/ | WORD MARK",
        "ATOM: PIECE* (WORD | PIECE)",
        f"TAIL: MARK PIECE* WORD? | /\\.({'|'.join(methods)})/ (MARK PIECE* WORD?)?",
    ]


def _words(code: str) -> list[str]:
    """Return expressions for what may be named: all that the code names, and the field's parts."""
    text = _STRING.sub("", code)
    words = set(_CHAIN.findall(text)) - _NEVER_ADDED | set(PYTHON.split())
    words |= {f"self.{name}" for name in ATTRIBUTES.split()}
    modules = {"nn": LAYERS, "torch.nn": LAYERS, "F": FUNCTIONS, "torch.nn.functional": FUNCTIONS}
    for module, names in modules.items():
        if re.search(rf"(?<![\w.]){re.escape(module)}\.|as {module}$", text, re.MULTILINE):
            words |= {f"{module}.{name}" for name in names.split()}
    if "torch" in words:
        words |= {"torch.relu", "torch.sigmoid", "torch.flatten", "torch.cat"}
    strings = {re.escape(each).replace("/", "\\/") for each in _STRING.findall(code)}
    return sorted({re.escape(word) for word in words} | strings)
