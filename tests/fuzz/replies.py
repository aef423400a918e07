"""Replies assembled around a known answer: thinking, drafts, prose, fences and tags."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

PROSE = (
    "I make it wider.",
    "Let me see.\n\n- the stem is narrow\n- so is the head\n+ more of it\n",
    "Why it helps:\n\n1. wider\n2. deeper\n",
    "Install it:\n```bash\npip list\n```",
    "Now:\n\n    x = 1\n\n~~~ python\nself.a = nn.ReLU()\n~~~",
    "-- that is the idea.",
    "Your `forward` is good, ``really``.",
)
INFOS = ("", "", "diff", " diff", "python", "python3", "Python", "diff baseline.py", 'x="y z"')
THINKING = (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<Thinking>", "</Thinking>"))


@dataclass(frozen=True)
class Part:
    """A wrapped text: may more follow, and does a reader know where it ends and begins?"""

    text: str
    ends: bool = True  # False: what follows would become part of it
    tagged: bool = False
    bare: bool = False


def fenced(text: str, rng: Random) -> Part:
    """Return the text in a code fence, of a list item at times."""
    mark, width = rng.choice("`~"), rng.choice((3, 3, 3, 4, 6))
    opening = mark * width + rng.choice(INFOS)
    closing = mark * (width + rng.choice((0, 0, 1, 3))) + " " * rng.randrange(3)
    glued = rng.random() < 0.15
    rows = [opening, *text.removesuffix("\n").split("\n"), closing]
    if glued:
        rows[-2:] = [f"{rows[-2]}{mark * width}"]
    if rng.random() < 0.2:
        lead = rng.choice(("- ", "1. ", "12) ", "> ", "   "))
        margin = "> " if lead == "> " else " " * len(lead)
        rows = [f"{margin if i else lead}{row}" if row else row for i, row in enumerate(rows)]
    # a fence without words before a closing line would itself be read as that line
    return Part("\n" + "\n".join(rows) + "\n", ends=not glued)


def tagged(text: str, tag: str, rng: Random) -> Part:
    """Return the text between tags, of which one may be missing."""
    name = rng.choice((tag, tag.upper(), f" {tag}", f"{tag.title()} "))
    em = rng.choice(("", "", "", "**", "_", "`"))
    begin, end = (f"\n{em}<{slash}{name}>{em}" for slash in ("", "/"))
    inner = fenced(text, rng).text if rng.random() < 0.4 else text
    begin += rng.choice(("", "\n", " "))
    missing = rng.random()
    if missing < 0.1:
        return Part(f"{begin}{inner}", ends=False, tagged=True)
    end = end if inner.endswith("\n") and rng.random() < 0.5 else end.strip("\n")
    if missing < 0.2:  # what stands above is within
        return Part(f"{inner}{end}\n", tagged=True, bare=True)
    return Part(f"{begin}{inner}{end}\n", tagged=True)


def wrapped(text: str, tag: str, rng: Random) -> Part:
    """Return the text in a fence, between tags, or bare."""
    kind = rng.random()
    if kind < 0.5:
        return fenced(text, rng)
    if kind < 0.85:
        return tagged(text, tag, rng)
    return Part(f"\n{text}", ends=False, bare=True)


def thought(drafts: list[str], tag: str, rng: Random) -> str:
    """Return a reply's thinking, of which only the closing mark may stand there."""
    begin, end = rng.choice(THINKING)
    parts = [rng.choice(PROSE)]
    for draft in rng.sample(drafts, rng.randrange(len(drafts) + 1)):
        parts += [wrapped(draft, tag, rng).text, rng.choice(PROSE)]
    if rng.random() < 0.3:
        parts.append(rng.choice(("```diff", f"<{tag}>", begin)))
    return f"{rng.choice((begin, begin, ''))}\n" + "\n".join(parts) + f"{end}\n"


def assemble(
    answer: str, drafts: list[str], tag: str, rng: Random, *, prose_may_stand: bool
) -> tuple[str, bool]:
    """Return a reply with this answer, and whether it can mean nothing else.

    `prose_may_stand`: above a bare answer.
    """
    final = wrapped(answer, tag, rng)
    sure, parts = True, []
    if rng.random() < 0.6 and (prose_may_stand or not final.bare):
        parts.append(rng.choice(PROSE[:4] if final.bare else PROSE))
    if drafts and rng.random() < 0.3:
        draft = wrapped(rng.choice(drafts), tag, rng)
        if final.bare and not draft.ends:  # both would be one
            draft = fenced(rng.choice(drafts), rng)
        sure = final.tagged and not final.bare and not draft.tagged
        parts.insert(rng.randrange(len(parts) + 1), draft.text)
    parts.append(final.text)
    if final.ends:
        if rng.random() < 0.15:
            again = wrapped(answer, tag, rng)
            sure = sure and again.ends and again.tagged == final.tagged
            sure = sure and not again.bare and not final.bare
            parts.append(again.text)
        if rng.random() < 0.5:
            parts.append(rng.choice(PROSE))
        if drafts and rng.random() < 0.15:
            draft = rng.choice(drafts)  # between tags it would be the answer
            other = tagged(draft, tag, rng) if final.tagged else fenced(draft, rng)
            sure = False
            parts.append(other.text)
    reply = "\n".join(parts)
    if rng.random() < 0.5:
        reply = f"{thought(drafts, tag, rng)}{reply}"
    if rng.random() < 0.1:
        reply = f"\ufeff{reply}"
    return (reply.replace("\n", "\r\n") if rng.random() < 0.1 else reply), sure
