"""Consistent new names for a baseline and its answers, so that the LLM learns to copy names.

A few dozen built-in networks share their names; an LLM that learns those by heart writes them into
networks that have others.
"""

from __future__ import annotations

import builtins
import random
import re

import torch

from deltanas.propose.grammar import FIELD

_ATTRIBUTE = re.compile(r"self\.([A-Za-z_]\w*)")
_LOCAL = re.compile(r"^\s+([a-z]\w*) = ", re.MULTILINE)
_CLASS = re.compile(r"^class (\w+)\(", re.MULTILINE)
_ARGUMENTS = re.compile(r"def \w+\(self, ([^)]*)\)")
_KEYWORD = re.compile(r"[(,]\s*([a-z_]\w*)=")
_WORD = re.compile(r"[A-Za-z_]\w*")
_INTERFACE = "device training in_channels out_channels in_shape out_shape prm nn torch F math"

KEPT = (
    FIELD
    | set(_INTERFACE.split())
    | set(dir(builtins))
    | set(dir(torch.nn.Module()))
    | set(dir(torch))
    | set(dir(torch.nn.functional))
    | set(dir(torch.Tensor))
)
_WORDS = """
    adapter agg anchor arm attn aux back backbone base beta bottom branch bridge bundle
    cascade cell center chain chunk cls coarse collect combine compress context core cross
    deep delta dense depth detail dim down duct edge encoder enc entry exit expander feat
    feats fine first fold front fuse fusion gamma gated gating global glue grow half hid
    hidden high hop inner inp inter jump junction ker knot lane large last lateral left lift
    limb link local loop low lower main major mapper mass merge mid middle minor mix mixer
    module neck net node num odd outer outp over part path pattern patch peak piece planes
    plain plus point post pre prior proj pyramid quad ramp rate ratio ray read rear reducer
    refine ref region res rest result ribbon right ring root route row sample scale second
    section seed seg select shallow shape share shift short side slim slot small source span
    spine spread stack stage start state stem step stream strip sub tail tap target temp term
    third tier tile tiny token top tower track trans trunk tube tune turn twin unit upper
    value vec wide width wing zone
"""
WORDS = _WORDS.split()
SYLLABLES = ("ba", "co", "di", "fe", "gu", "ka", "lo", "mi", "no", "pe", "ra", "so", "tu", "ve")
SHARE = 0.8  # of the names of a network that get new ones
WORD_SHARE = 0.8  # of the new names that are made of words; the rest are syllables


def renamed(texts: list[str], rng: random.Random) -> list[str]:
    """Return a baseline (the first text) and its answers under new names of their own making.

    Names of torch, of Python and of keyword arguments stay, and so does what the texts tell apart.
    """
    code = texts[0]
    used = set(_WORD.findall("\n".join(texts)))
    names = set(_ATTRIBUTE.findall(code)) | set(_LOCAL.findall(code))
    for arguments in _ARGUMENTS.findall(code):
        names |= {re.split("[:=]", each)[0].strip() for each in arguments.split(",")}
    names -= KEPT | set(_KEYWORD.findall("\n".join(texts)))
    new: dict[str, str] = {}
    stems: dict[str, str] = {}
    for name in sorted(each for each in names if re.fullmatch(r"[a-z_]\w*", each)):
        stem = name.rstrip("0123456789")
        if rng.random() < SHARE:
            stems.setdefault(stem, _fresh(used, rng))  # conv1 and conv2 keep a common stem
            new[name] = stems[stem] + name[len(stem) :]
    for name in sorted(set(_CLASS.findall(code)) - {"Net"}):
        new[name] = _fresh(used, rng).title().replace("_", "")
    if not new:
        return texts
    ordered = sorted(new, key=len, reverse=True)
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, ordered))})\b")
    return [pattern.sub(lambda match: new[match[1]], text) for text in texts]


def _fresh(used: set[str], rng: random.Random) -> str:
    while True:
        if rng.random() < WORD_SHARE:
            name = "_".join(rng.sample(WORDS, rng.choice((1, 1, 2))))
        else:
            name = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 3)))
        if name not in used | KEPT:
            used.add(name)
            return name
