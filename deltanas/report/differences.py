"""What two runs of the same replies disagree on, row by row and field by field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deltanas.records import Attempt, Finalist, Retraining, UsedBaseline, Verdict
from deltanas.report.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

# measured anew by every run, or with the tokenizer of an LLM that a replay does not have
FREE = frozenset(
    {
        "seconds_generate",
        "seconds_evaluate",
        "cpu_seconds",
        "memory_bytes",
        "prompt_tokens",
        "output_tokens",
        "delta_tokens",
        "full_tokens",
    }
)
LIMITED = frozenset(
    {Verdict.INFRASTRUCTURE, Verdict.TIMED_OUT, Verdict.OUT_OF_MEMORY, Verdict.KILLED, None}
)  # how a row ends that met a limit of time or memory, or may have: another run may not
SHOWN_ROWS = 40
SHOWN_CHARACTERS = 60
_ADDRESS = re.compile(r"0x[0-9a-f]+")

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field of one row that is not what it was."""

    name: str  # of the attempt or baseline
    field: str
    recorded: object
    replayed: object
    limited: bool  # a limit of time or memory was met, so that it may differ honestly


def differences_of_attempts(
    recorded: Sequence[Attempt], replayed: Sequence[Attempt]
) -> list[Difference]:
    """Return where the recorded attempts differ from those of the same name."""
    return _differences(_attempts(recorded), _attempts(replayed))


def differences_of_baselines(
    recorded: Sequence[UsedBaseline], replayed: Sequence[UsedBaseline]
) -> list[Difference]:
    """Return where baselines that both runs used differ; the attempts tell which were used."""
    one, other = _baselines(recorded), _baselines(replayed)
    return _differences({name: row for name, row in one.items() if name in other}, other)


def differences_of_finalists(
    recorded: Sequence[Finalist], replayed: Sequence[Finalist]
) -> list[Difference]:
    """Return where the recorded finalists differ from those of the same name."""
    rows = [{f"finalist {f.attempt_id}": asdict(f) for f in each} for each in (recorded, replayed)]
    return _differences(rows[0], rows[1])


def differences_of_retrainings(
    recorded: Sequence[Retraining], replayed: Sequence[Retraining]
) -> list[Difference]:
    """Return where the recorded epochs under fresh seeds differ from those of the same name."""
    rows = [
        {
            f"{again.purpose} {again.number} of {again.network_id} on {again.dataset}": {
                name: cell for name, cell in asdict(again).items() if name != "seconds"
            }
            for again in each
        }
        for each in (recorded, replayed)
    ]
    return _differences(rows[0], rows[1])


def print_differences(differences: Sequence[Difference], console: Console) -> None:
    """Print a table of the first differences, and how many there are."""
    from rich.table import Table
    from rich.text import Text

    table = Table("row", "field", "recorded", "replayed", "", box=None, padding=(0, 2, 0, 0))
    for each in differences[:SHOWN_ROWS]:
        one, other = _shown(each.recorded, each.replayed)
        mark = "limit" if each.limited else ""
        table.add_row(each.name, each.field, Text(one), Text(other), mark)
    print_table(table, console)
    limited = sum(each.limited for each in differences)
    more = f", {SHOWN_ROWS} shown" if len(differences) > SHOWN_ROWS else ""
    met = f"; {limited} met a limit of time or memory and may differ honestly" if limited else ""
    console.print(f"{len(differences)} differences{more}{met}", highlight=False)


def _attempts(attempts: Sequence[Attempt]) -> dict[str, Fields]:
    return {
        row.attempt_id: {name: cell for name, cell in asdict(row).items() if name not in FREE}
        for row in attempts
    }


def _baselines(baselines: Sequence[UsedBaseline]) -> dict[str, Fields]:
    return {
        f"{used.baseline.baseline_id} on {used.dataset}": {
            **asdict(used.baseline),
            "verdict": used.verdict,
            "reason": used.reason,
            "first_epoch_accuracy": used.first_epoch_accuracy,
            "graph": used.graph,
        }
        for used in baselines
    }


def _differences(
    recorded: Mapping[str, Fields], replayed: Mapping[str, Fields]
) -> list[Difference]:
    return [
        difference
        for name, row in recorded.items()
        for difference in _of_row(name, row, replayed.get(name))
    ]


def _of_row(name: str, recorded: Fields, replayed: Fields | None) -> Iterator[Difference]:
    if replayed is None:
        yield Difference(
            name=name, field="row", recorded="there", replayed="missing", limited=False
        )
        return
    limited = any(_limited(row) for row in (recorded, replayed))
    for field, value in recorded.items():
        other = replayed[field]
        if field in ("verdict", "reason") and recorded["verdict"] is None:
            continue  # an older run does not tell
        if field == "reason" and recorded["verdict"] == replayed["verdict"] == Verdict.TRAINED:
            continue  # it says why a network is degenerate, in which case others differ too
        if field == "delta" and recorded["code"] and replayed["code"]:
            continue  # parent and code say all of it; an older run keeps it as it was written
        if field == "reason":
            if limited and recorded["verdict"] == replayed["verdict"]:
                continue  # it tells seconds or bytes
            value, other = (_ADDRESS.sub("0x", text) for text in (value, other))
        if value != other:
            yield Difference(
                name=name, field=field, recorded=value, replayed=other, limited=limited
            )


def _limited(row: Fields) -> bool:
    return row["verdict"] in LIMITED


def _shown(recorded: object, replayed: object) -> tuple[str, str]:
    """Return two values as one line each; of texts the first line that differs."""
    texts = [each if isinstance(each, str) else repr(each) for each in (recorded, replayed)]
    lines = [text.split("\n") for text in texts]
    if max(map(len, lines)) > 1:
        first = next(
            i for i in range(max(map(len, lines))) if lines[0][i : i + 1] != lines[1][i : i + 1]
        )
        texts = [each[first] if first < len(each) else "" for each in lines]
    shown = [
        "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
        for text in texts
    ]
    return _cut(shown[0]), _cut(shown[1])


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
