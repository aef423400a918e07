"""Deltas and networks in replies: thinking, tags, fences, drafts, and the same answer twice."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from deltanas.archive.builtin_archive import source
from deltanas.records import Verdict
from deltanas.screen import DeltaError, apply_delta, extract_delta
from deltanas.screen.network import extract_network
from deltanas.screen.reply import answer_blocks

CODE = source("plain_cnn_bn")
LINE = next(line for line in CODE.splitlines() if "kernel_size=3" in line)


def delta_to(size: int) -> str:
    return (
        "--- baseline.py\n+++ improved.py\n@@\n"
        f"-{LINE}\n+{LINE.replace('kernel_size=3', f'kernel_size={size}')}\n"
    )


def network_with(size: int) -> str:
    return CODE.replace(LINE, LINE.replace("kernel_size=3", f"kernel_size={size}"))


def from_delta(reply: str) -> str:
    """Return the network that a reply's delta leads to, by both ways that lead there."""
    result = apply_delta(CODE, reply)
    assert apply_delta(CODE, extract_delta(reply)) == result
    return result


def from_network(reply: str) -> str:
    return extract_network(reply, CODE)


WANTED = network_with(5)
KINDS = pytest.mark.parametrize(
    ("read", "answer", "draft"),
    [(from_delta, delta_to(5), delta_to(7)), (from_network, WANTED, network_with(7))],
    ids=["delta", "network"],
)
Read = Callable[[str], str]


def verdict_of(read: Read, reply: str) -> Verdict:
    with pytest.raises(DeltaError) as caught:
        read(reply)
    return caught.value.verdict


@KINDS
@pytest.mark.parametrize("mark", ["think", "thinking", "THINK", "thought", "seed:think", "[]"])
def test_nothing_that_was_thought_is_an_answer(read: Read, answer: str, draft: str, mark: str):
    begin, end = ("[THINK]", "[/THINK]") if mark == "[]" else (f"<{mark}>", f"</{mark}>")
    for thought in (draft, f"```\n{draft}```\n", f"<delta>\n{draft}</delta>\n", answer):
        for opened in (begin, f"{begin}\n", ""):
            assert read(f"{opened}{thought}{end}\n\n{answer}") == WANTED
            assert read(f"{opened}{thought}\n{end}```\n{answer}```") == WANTED
            assert verdict_of(read, f"{opened}Hm.\n{thought}{end}\n") is Verdict.NO_DELTA
        both = f"{begin}{thought}{end}{begin}\n{draft}{end}\n"
        assert read(f"{both}\n{answer}") == WANTED
        assert verdict_of(read, f"{begin}\n{thought}") is Verdict.NO_DELTA
        assert verdict_of(read, f"{both}So:\n{begin}\n{thought}") is Verdict.NO_DELTA


def indented(text: str, by: str) -> str:
    return "".join(f"{by}{line}" if line.strip() else line for line in text.splitlines(True))


FENCES = [
    f"{marks}{info}\n{{}}{closing}\n"
    for marks, closing in (("```", "```"), ("~~~", "~~~~ "), ("````", "`````"), ("```", "   ```"))
    for info in ("", "diff", " diff", "diff baseline.py", "python3", "Python", 'py title="x"')
] + [
    "~~~ `diff`\n{}~~~",
    "````markdown\nHere:\n```diff\n{}```\n````\n",
    "~~~~\n~~~\n{}~~~\n~~~~\n",
    "```markdown\n```diff\n{}```\n```\n",
    "```diff\n{}```diff\nDone.\n```\n",
]


@KINDS
@pytest.mark.parametrize("fence", FENCES)
def test_a_fence_is_one_of_commonmark(read: Read, answer: str, draft: str, fence: str):
    fenced = fence.format(answer)
    assert read(fenced) == WANTED
    assert read(f"It is\n{fenced}") == WANTED
    assert read(f"{fenced}\nor:\n\n```diff\n{answer}") == WANTED  # to the end of the reply
    assert read(f"```bash\npip list\n```\nIt is\n\n{fenced}\n") == WANTED
    for lead in ("1. ", "10) ", "- ", "* ", "> "):
        margin = lead if lead == "> " else " " * len(lead)
        item = lead + indented(fenced, margin)[len(lead) :]
        assert read(f"The edit:\n\n{item}\n\n{margin}Good.\n\nBye.") == WANTED
        assert read(f"The edit:\n\n{lead}Now\n\n{indented(fenced, margin)}\n") == WANTED


@KINDS
@pytest.mark.parametrize("after", ["", "\n\nBye.\n", "\nRun\n```bash\npip list\n```\n"])
def test_a_closing_fence_may_end_the_last_line(read: Read, answer: str, draft: str, after: str):
    assert read(f"```diff\n{answer[:-1]}```{after}") == WANTED
    assert read(f"- So:\n  ~~~\n{indented(answer, '  ')[:-1]} ~~~~{after}") == WANTED
    two = f"```diff\n{answer[:-1]}```\nor\n```diff\n{draft[:-1]}```{after}"
    assert verdict_of(read, two) is Verdict.MALFORMED


@KINDS
@pytest.mark.parametrize("fence", ["```", "```\nThat is all.\n", "~~~\n\nWhy:\n- small\n"])
def test_a_lone_closing_fence_ends_a_bare_answer(read: Read, answer: str, draft: str, fence: str):
    assert read(f"{answer}{fence}") == WANTED


@KINDS
def test_a_fence_of_which_not_every_line_is_indented_keeps_its_lines(
    read: Read, answer: str, draft: str
):
    assert read(f"1. So:\n   ```diff\n{answer}   ```\n") == WANTED


@KINDS
@pytest.mark.parametrize(
    "wrapping",
    [
        "<hp>{{'lr': 0.01}}</hp>\n<tr>\nx = 1\n</tr>\n<{0}>{1}</{0}>",
        "<hp>{{'lr': 0.01}}</hp> <tr>echo</tr> <{0}>{1}</{0}>",
        "**<{0}>**\n{1}**</{0}>**\n",
        "`<{0}>`\n{1}`</{0}>`",
        "< {0} >\n{1}</ {0} >\nBye.",
        "I answer between <{0}> and </{0}> tags.\n\n<{0}>\n```diff\n{1}```\n</{0}>",
        "<{0}>\n```\n{1}</{0}>\n```",
        "```xml\n<{0}>\n{1}</{0}>\n```\n",
        "<{0}>\n\n{1}",
        "<{0}>```diff\n{1}```",
        "{1}</{0}>\nThat is all.",
        "\n\n{1}</{0}>",
        "<{0}>\n{1}</{0}>\n<{0}>\n{1}</{0}>\n",
        "<{0}>\n{1}\nAgain: <{0}>\n{1}",
        "```diff\n{2}```\n<{0}>\n{1}</{0}>",
    ],
)
@pytest.mark.parametrize("case", [str.lower, str.title, str.upper])
def test_the_papers_tags(
    read: Read, answer: str, draft: str, wrapping: str, case: Callable[[str], str]
):
    tag = case("delta" if read is from_delta else "nn")
    assert read(wrapping.format(tag, answer, draft)) == WANTED


@KINDS
@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("```\n{0}```\nor\n```\n{1}```\n", Verdict.MALFORMED),
        ("- one\n  ```\n{0}  ```\n- or\n  ~~~\n{1}  ~~~\n", Verdict.MALFORMED),
        ("{0}\n```\n{1}```\n", Verdict.MALFORMED),
        ("```\n{1}```\n\n{0}", Verdict.MALFORMED),
        ("<delta>\n{0}</delta>\n<delta>\n{1}</delta>\n", Verdict.MALFORMED),
        ("<nn>\n{0}</nn>\n<nn>\n{1}</nn>\n", Verdict.MALFORMED),
        ("<delta>\n{0}</delta>\nRather:\n```\n{1}```\n", Verdict.MALFORMED),
        ("{0}</nn>\nRather:\n```\n{1}```\n", Verdict.MALFORMED),
        ("```\n{1}```\n<delta>\nnone\nat all\n</delta>\n", Verdict.NO_DELTA),
        ("```\n{1}```\n<nn>\nnone\nat all\n</nn>\n", Verdict.NO_DELTA),
    ],
)
def test_a_reply_that_leaves_two_answers_open_is_refused(
    read: Read, answer: str, draft: str, reply: str, verdict: Verdict
):
    mine, other = ("delta", "nn") if read is from_delta else ("nn", "delta")
    if f"<{mine}>" in reply or f"<{other}>" not in reply:
        assert verdict_of(read, reply.format(answer, draft)) is verdict


@KINDS
@pytest.mark.parametrize(
    "twice",
    [
        "```\n{0}```\nAgain:\n```diff\n{0}```\n",
        "{0}\n```\n{0}```\n",
        "- So\n  ```\n{1}  ```\n\n```\n{0}```\n",
        "```\n{0}```\n\n~~~\n{0}",
    ],
)
def test_the_same_answer_twice_is_one(read: Read, answer: str, draft: str, twice: str):
    assert read(twice.format(answer, indented(answer, "  "))) == WANTED


@KINDS
@pytest.mark.parametrize("before", ["\ufeff", "\ufeff\r\n", " ", "\n \t"])
def test_a_byte_order_mark_and_blanks_may_stand_first(
    read: Read, answer: str, draft: str, before: str
):
    assert read(f"{before}{answer}") == WANTED
    assert read(f"```\n\ufeff{answer}```") == WANTED


@KINDS
def test_fences_inside_fences_without_end_are_read_in_time(read: Read, answer: str, draft: str):
    reply = "".join(f"```{i}\n" for i in range(4000))
    assert verdict_of(read, f"{reply}nothing") is Verdict.NO_DELTA
    with pytest.raises(DeltaError):
        apply_delta(CODE, f"{reply}{answer}")


BODY = st.lists(
    st.sampled_from(["@", "  @", "x", "", "``", "    ```", "~~", "# ``", "- x"]),
    max_size=5,
)


@given(st.data())
def test_fences_are_those_of_a_commonmark_parser(data: st.DataObject) -> None:
    parts = []
    for _ in range(data.draw(st.integers(1, 4))):
        mark = data.draw(st.sampled_from("`~"))
        width = data.draw(st.integers(3, 5))
        info = data.draw(st.sampled_from(["", "diff", " a b", "py3"]))
        closing = mark * data.draw(st.integers(width, width + 2)) + " " * data.draw(
            st.integers(0, 2)
        )
        rows = ["@@", *data.draw(BODY)]
        lead = data.draw(st.sampled_from(["", "- ", "1. ", "12) ", " ", "   ", "> ", "- 1. "]))
        margin = "> " if lead == "> " else " " * len(lead)
        lines = [lead + mark * width + info, *(f"{margin}{row}" for row in [*rows, closing])]
        parts += ["", *data.draw(st.sampled_from([[], ["Text."], ["- text"], ["    x"]])), ""]
        parts += lines
    text = "\n".join(parts)
    found = [b.text for b in answer_blocks(text, "delta", re.compile("^@@", re.M)) if b.enclosed]
    tokens = MarkdownIt("commonmark").parse(text)
    assert found == [t.content for t in tokens if t.type == "fence" and "@@" in t.content]
