"""What the lock on names lets an LLM add, and what it must not lose."""

import llguidance
import pytest

from deltanas.llm.local import TransformersLLM
from deltanas.llm.locked import grammar_tokenizer
from deltanas.propose.grammar import delta_grammar
from deltanas.propose.hunks import Excerpt
from deltanas.source import frozen_lines

ACT = "-        self.act = nn.ReLU()\n"
CONV = "-        self.conv = nn.Conv2d(in_shape[1], 8, 3, padding=1)\n"
RETURN = "-        return self.head(self.act(self.conv(x)).mean((2, 3)))\n"


def accepts(llm: TransformersLLM, code: str, delta: str) -> bool:
    """Tell whether a compact delta of the baseline is a sentence of its locked grammar."""
    tokenizer = grammar_tokenizer(llm.tokenizer, len(llm.tokenizer))
    view = Excerpt.of(code, frozen_lines(code), hide_frozen=True)
    grammar = llguidance.LLMatcher.grammar_from_lark(delta_grammar(view, lock_names=True))
    matcher = llguidance.LLMatcher(tokenizer, grammar)
    assert not matcher.is_error(), matcher.get_error()
    ids = llm.tokenizer.encode(delta, add_special_tokens=False)
    return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


@pytest.mark.parametrize(
    "delta",
    [
        f"@@\n{ACT}+        self.act = nn.GELU()\n",
        f"@@\n{CONV}+        self.conv = nn.Conv2d(in_shape[1], 8, 5, padding=2, bias=False)\n",
        f"@@\n{ACT}+        self.act = nn.Sequential(\n+            nn.BatchNorm2d(8),\n"
        "+            nn.LeakyReLU(0.1),\n+        )\n",
        f"@@\n{RETURN}+        return self.head(self.act(self.conv(x)).flatten(1))\n",
        "@@\n         self.act = nn.ReLU()\n+        self.extra = nn.Dropout2d(0.25)\n",
    ],
)
def test_edits_in_the_names_of_the_network_and_the_field_pass(
    llm: TransformersLLM, code: str, delta: str
):
    assert accepts(llm, code, delta)


@pytest.mark.parametrize(
    ("delta", "why"),
    [
        (f"@@\n{ACT}+        self.act = nn.Swish()\n", "no such layer in the field"),
        (f"@@\n{ACT}+        self.act = ReLU()\n", "only nn.ReLU is known"),
        (f"@@\n{ACT}+        self.act = nn.ReLUnn.GELU()\n", "two names without a mark between"),
        (f"@@\n{ACT}+        self.act = nn.ReLU()nn\n", "a name glued to a bracket"),
        (f"@@\n{ACT}+        self.activation = nn.ReLU()\n", "self.act is lost"),
        (f"@@\n{ACT}", "self.act is lost"),
        (f"@@\n{ACT}+        self.act = self.missing\n", "no such attribute"),
        (f"@@\n{RETURN}+        x = self.head(x)\n", "the return is lost"),
        ("@@\n-    def forward(self, x):\n+    def forward(self, x, y):\n", "opens a block"),
        ("@@\n-        super().__init__()\n+        x = 1\n", "is no architecture"),
    ],
)
def test_what_would_break_the_network_is_refused(
    llm: TransformersLLM, code: str, delta: str, why: str
):
    assert not accepts(llm, code, delta), why


def test_the_lock_on_lines_alone_leaves_names_free(llm: TransformersLLM, code: str):
    tokenizer = grammar_tokenizer(llm.tokenizer, len(llm.tokenizer))
    view = Excerpt.of(code, frozen_lines(code), hide_frozen=True)
    grammar = llguidance.LLMatcher.grammar_from_lark(delta_grammar(view))
    ids = llm.tokenizer.encode(f"@@\n{ACT}+        self.swish = nn.Swish()\n")
    assert llguidance.LLMatcher(tokenizer, grammar).try_consume_tokens(ids) == len(ids)
