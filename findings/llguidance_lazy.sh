#!/usr/bin/env bash
# llguidance 1.9.1 beside lark 1.3.1: grammars that Lark reads as meant and llguidance reads
# otherwise, without an error.
#
# An expert would expect: llguidance takes Lark's syntax and says that it parses like Lark's
#   dynamic Earley lexer; what it cannot do (look-ahead, priorities, templates) it refuses. So what
#   compiles accepts the same texts.
# Seen: `.*?` compiles, but is `.*`: after /<.*?>/ "x" the text <a>x can never end, since x is
#   taken as more of the bracket; and <a>b> matches a lone /<.*?>/, which Lark refuses. Leading
#   white space under %ignore is refused, though trailing white space is accepted;
#   {"allow_initial_skip": true} mends that, [lazy] on a rule the other.
# Why it matters: under such a mask the end of the text is forbidden wherever the grammar's author
#   meant it to be, and every reply runs into the token limit; tests of the grammar with Lark are
#   green.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet llguidance==1.9.1 lark==1.3.1
"$work/venv/bin/python" - <<'PY' | tee "$work/seen"
from lark import Lark, LarkError
from llguidance import LLMatcher, LLTokenizer

tokenizer = LLTokenizer("byte")


def by_lark(grammar, text):
    try:
        Lark(grammar).parse(text)
    except LarkError:
        return False
    return True


def by_llguidance(grammar, text):
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(grammar))
    assert not matcher.get_error()
    return all(matcher.try_consume_tokens([t]) for t in tokenizer.tokenize_str(text)) and matcher.is_accepting()


SPACED = 'start: "a"+\n%ignore /\\s+/'
for grammar, text in (
    ('start: /<.*>/', "<a>"), ('start: /<.*?>/ "x"', "<a>x"), ("start: /<.*?>/", "<a>b>"),
    (SPACED, "a a "), (SPACED, " a a"),
):
    print(f"{grammar!r} accepts {text!r}: lark {by_lark(grammar, text)}, llguidance {by_llguidance(grammar, text)}")
print("mended:", by_llguidance('start: tag "x"\ntag[lazy]: /<.*>/', "<a>x"),
      by_llguidance('%llguidance {"allow_initial_skip": true}\n' + SPACED, " a a"))
PY
diff - "$work/seen" <<'EXPECTED'
'start: /<.*>/' accepts '<a>': lark True, llguidance True
'start: /<.*?>/ "x"' accepts '<a>x': lark True, llguidance False
'start: /<.*?>/' accepts '<a>b>': lark False, llguidance True
'start: "a"+\n%ignore /\\s+/' accepts 'a a ': lark True, llguidance True
'start: "a"+\n%ignore /\\s+/' accepts ' a a': lark True, llguidance False
mended: True True
EXPECTED
