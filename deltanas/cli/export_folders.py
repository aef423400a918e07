"""What a run leaves to others as folders: networks in LEMUR's layout, an adapter for PEFT."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from deltanas.archive.lemur_export import Trained, lemur_files, lemur_name
from deltanas.cli.streams import emit
from deltanas.records import Attempt, Run, UserError
from deltanas.report.diffs import lineage, parents_of
from deltanas.report.formats import visible
from deltanas.report.provenance import recipe_of

_INDEX = "deltanas.json"  # which network came from which attempts
_ADAPTERS, _WEIGHTS = "adapters", "adapter_model.safetensors"


class FolderError(UserError):
    """What a run holds makes no such folder; the message says what is missing or wrong."""


def within(folder: Path, name: str | Path) -> Path:
    """Return a path in a folder. Raises FolderError where the name or a link leads out of it."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FolderError(f"{str(name)!r} leads out of {folder}; nothing is read or written there")
    return path


def export_lemur(directory: Path, run: Run, dest: Path) -> None:
    """Write every new network that learned something, with its one-epoch statistics.

    Accuracies are those of the test split, as LEMUR's are, under the seed of the search and under
    fresh ones. Finalists are not among them: a run does not record how long they took.
    Where LEMUR's name of a network is that of another one, the first has it.
    """
    named = _named(row for row in run.attempts if _is_taken(row))
    if not named:
        raise FolderError(
            f"{directory}: none of {len(run.attempts)} attempts left a new network that learned"
            " something; there is nothing to write"
        )
    files = lemur_files(
        Trained(
            code=row.code,
            dataset=row.dataset,
            recipe=recipe_of(run, row),
            trials=_trials(run, row),
        )
        for rows in named.values()
        for row in rows
    )
    parents = parents_of(run)
    index = {
        name: [
            {
                "run": run.meta.get("run_id") or directory.name,
                "attempt": row.attempt_id,
                "dataset": row.dataset,
                "lineage": lineage(row, parents),
                "gain": row.gain,
            }
            for row in rows
        ]
        for name, rows in named.items()
    }
    files[_INDEX] = json.dumps(index, indent=2, allow_nan=False) + "\n"
    partial = dest.with_name(f".{dest.name}.unfinished")
    shutil.rmtree(partial, ignore_errors=True)
    for name, text in files.items():
        path = within(partial, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "replace"))
    partial.replace(dest)
    place = dest / "ab"
    emit(f"{len(index)} networks; LEMUR finds them once {place} is copied over its own ab\n")
    if any(row.dataset == "digits" for rows in named.values() for row in rows):
        emit("LEMUR has no data set digits: it lists these networks, and trains them on others\n")


def export_adapter(directory: Path, run: Run, dest: Path) -> None:
    """Write the adapter of the last cycle that has one; links out of the run are refused."""
    from deltanas.tune.adapter_export import write_adapter

    found = {
        int(cycle[1]): path.parent
        for path in (directory / _ADAPTERS).glob(f"cycle_*/{_WEIGHTS}")
        if (cycle := re.fullmatch(r"cycle_([0-9]+)", path.parent.name))
    }
    if not found:
        raise FolderError(
            f"{directory} holds no adapter: its LLM was not tuned, or it broke off before"
        )
    folder = found[max(found)]
    for path in folder.iterdir():
        within(directory, path.relative_to(directory))
    config = run.meta.get("config") or {}
    llm, lora = config.get("llm", {}), config.get("lora", {})
    told = [
        ("run", run.meta.get("run_id") or directory.name),
        ("cycle", folder.name.removeprefix("cycle_")),
        ("data set", config.get("dataset", {}).get("name", "unknown")),
        ("objective", config.get("tune", {}).get("objective", "sft")),
        ("tuning", f"learning rate {lora.get('lr')}, {lora.get('epochs')} epochs a cycle"),
        ("seed", str(config.get("seed", "unknown"))),
        ("versions", ", ".join(f"{k} {v}" for k, v in (run.meta.get("versions") or {}).items())),
    ]
    write_adapter(
        folder,
        dest,
        model=llm.get("model", "embedded"),
        dtype=(run.meta.get("llm") or {}).get("dtype", llm.get("dtype", "float32")),
        told=told,
    )
    emit(f"the adapter of {folder.name}\n")


def _named(rows: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """Return the rows of each network by LEMUR's name of it, and say which are left out."""
    named: dict[str, list[Attempt]] = {}
    for row in rows:
        known = named.setdefault(lemur_name(row.code), [])
        if known and known[0].code != row.code:
            text = (
                f"{row.attempt_id} is left out: it differs from {known[0].attempt_id} in blanks"
                " only, which make no difference to LEMUR's names"
            )
            emit(f"{visible(text)}\n")
        else:
            known.append(row)
    return named


def _is_taken(row: Attempt) -> bool:
    learned = row.first_epoch_accuracy is not None and not row.degenerate
    return row.distinct and learned and bool(row.code)


def _trials(run: Run, row: Attempt) -> tuple[tuple[float, float], ...]:
    """Return (test accuracy, seconds) of a network's epochs, under every seed."""
    own = [(row.first_epoch_accuracy, row.seconds_evaluate)]
    again = [
        (each.test_accuracy, each.seconds)
        for each in run.retrainings
        if (each.dataset, each.network_id) == (row.dataset, row.attempt_id)
    ]
    return tuple((value, seconds) for value, seconds in (*own, *again) if value is not None)
