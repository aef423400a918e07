"""Which runs belong together, what to call them, and what to hold them against: pure functions.

Runs are one group when LLM, dataset, archive, protocol and ablation are the same, and every other
recorded setting too; what tells groups with the same five names apart is their `variant`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

from deltanas.records import FinishedRun
from deltanas.report.comparison.groups import Group, GroupKey

NO_ABLATION = "none"
FULL_GENERATION = "full_generation"  # the ablation whose replies are whole networks
CONTROL = "random_edit"  # stands in the place of an LLM where none was asked

# settings that say where a run took place: they do not change what it measures
_ELSEWHERE = ("seed", "ablation", "tracker.", "executor.", "llm.device")
_UNUSED_WITHOUT_LLM = (
    *("llm.", "lora.", "decoding", "generation", "tune.objective", "tune.beta", "tune.margin"),
    *("tune.real_share", "tune.guard"),  # tune.siblings holds without one too
)
_SHOWN = 32  # characters of a setting's value in a variant


def group_runs(runs: Sequence[FinishedRun]) -> list[Group]:
    """Return the groups by dataset and LLM, the search as configured before its ablations.

    Of several runs of one seed, which are repetitions, the one with most attempts counts.
    """
    alike: dict[GroupKey, list[FinishedRun]] = {}
    for run in runs:
        alike.setdefault(_key(run), []).append(run)
    groups = []
    for key, members in alike.items():
        differing = differing_settings([_relevant(run) for run in members])
        variants: dict[str, list[FinishedRun]] = {}
        for run in members:
            variants.setdefault(_variant(run, differing), []).append(run)
        groups += [_group(replace(key, variant=name), them) for name, them in variants.items()]
    return sorted(groups, key=lambda group: order(group.key))


def _key(run: FinishedRun) -> GroupKey:
    summary = run.summary
    return GroupKey(
        llm=summary.llm,
        dataset=summary.dataset,
        archive=summary.archive,
        protocol=summary.protocol,
        ablation=summary.ablation or NO_ABLATION,
    )


def order(key: GroupKey) -> tuple[Any, ...]:
    """Return what sorts groups: controls without an LLM and ablations come last."""
    return (
        (key.dataset, key.archive, key.protocol),
        (key.llm == CONTROL, key.llm),
        (key.ablation != NO_ABLATION, key.ablation, key.variant),
    )


def _group(key: GroupKey, runs: Sequence[FinishedRun]) -> Group:
    largest: dict[int, FinishedRun] = {}
    for run in runs:
        seed = run.summary.seed
        if seed not in largest or run.summary.attempted > largest[seed].summary.attempted:
            largest[seed] = run
    return Group(
        key=key,
        runs=tuple(largest[seed] for seed in sorted(largest)),
        repeats=tuple(run for run in runs if run is not largest[run.summary.seed]),
    )


def _relevant(run: FinishedRun) -> dict[str, str]:
    """Return the settings that can change what a run measures."""
    unused = _UNUSED_WITHOUT_LLM if run.summary.llm == CONTROL else ()
    return {
        key: text
        for key, text in run.settings.items()
        if not key.startswith(_ELSEWHERE + unused) and not _is_place(key, run.settings)
    }


def _is_place(key: str, settings: Mapping[str, str]) -> bool:
    """Tell whether a setting says where files lie that are the same everywhere.

    Images and networks of the user's own are what their folder holds.
    """
    owner, _, name = key.rpartition(".")
    if name == "root":
        return settings.get(f"{owner}.class_folders") != str(True)
    return key == "archive.path" and settings.get("archive.name") != "folder"


def differing_settings(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the dotted keys whose values differ among those runs that recorded any."""
    recorded = [setting for setting in settings if setting]
    keys = dict.fromkeys(key for setting in recorded for key in setting)
    return [key for key in keys if len({setting.get(key) for setting in recorded}) > 1]


def _variant(run: FinishedRun, differing: Sequence[str]) -> str:
    if not differing:
        return ""
    if not run.settings:
        return "settings not recorded"
    ends = [key.rpartition(".")[2] for key in differing]
    names = [
        end if ends.count(end) == 1 else key for end, key in zip(ends, differing, strict=True)
    ]
    texts = (_short(run.settings.get(key, "unset")) for key in differing)
    return ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True))


def _short(text: str) -> str:
    """Return a value in one line; of a long one the beginning and a mark of the whole."""
    line = " ".join(text.split())
    if len(line) <= _SHOWN:
        return line
    mark = f"{zlib.crc32(text.encode()):08x}"
    return f"{line[: _SHOWN - len(mark) - 1]}…{mark}"


def labels(keys: Sequence[GroupKey]) -> list[str]:
    """Return a short name for each group: only what tells these groups apart."""
    names = [astuple(key) for key in keys]
    asked = [astuple(key)[0] for key in keys if key.llm != CONTROL]
    varying = [i for i, column in enumerate(zip(*names, strict=True)) if len(set(column)) > 1]
    if len(set(asked)) == 1 and len(set(keys)) == len({names_[1:] for names_ in names}):
        varying = [i for i in varying if i > 0]
    if not varying:
        return [f"{key.llm} · {key.ablation}" for key in keys]
    # a control without an LLM has one name for its LLM and its ablation
    shown = [" · ".join(dict.fromkeys(row[i] for i in varying if row[i])) for row in names]
    return ["no ablation" if name == NO_ABLATION else name for name in shown]


def common(keys: Sequence[GroupKey]) -> dict[str, str]:
    """Return the names that all groups share; a control without an LLM shares any LLM."""
    fields = ("llm", "dataset", "archive", "protocol", "ablation")
    values = {name: {str(getattr(key, name)) for key in keys} for name in fields}
    if len(values["llm"]) > 1:
        values["llm"].discard(CONTROL)
    return {name: next(iter(found)) for name, found in values.items() if len(found) == 1}


def whole_networks(group: Group, groups: Sequence[Group]) -> Group | None:
    """Return the full-generation runs to hold a group against: same LLM and dataset.

    Among several, those of the same archive and protocol come first.
    """
    key = group.key
    if key.ablation == FULL_GENERATION:
        return None
    found = [
        other
        for other in groups
        if other.key.ablation == FULL_GENERATION
        and (other.key.llm, other.key.dataset) == (key.llm, key.dataset)
    ]

    def nearness(other: Group) -> tuple[bool, bool, int]:
        same_archive = other.key.archive == key.archive
        return same_archive, other.key.protocol == key.protocol, other.attempted

    return max(found, key=nearness, default=None)


def reductions(group: Group, control: Group | None) -> tuple[float | None, float | None]:
    """Return how many (lines, tokens) a group saves against runs that write whole networks.

    Lines: mean delta against mean whole network that was written and parsed. Tokens: what the LLM
    wrote for an attempt against the same of the control, whatever became of it.
    """
    if control is None:
        return None, None
    return (
        _saved(group.mean("mean_delta_lines"), control.mean("mean_full_lines")),
        _saved(group.written_per_attempt, control.written_per_attempt),
    )


def _saved(ours: float | None, whole: float | None) -> float | None:
    return 1 - ours / whole if ours is not None and whole else None
