"""What a run leaves to others as folders: networks in LEMUR's layout, an adapter for PEFT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from deltanas.archive.lemur_export import Trained, lemur_files, lemur_name
from deltanas.cli.streams import emit
from deltanas.records import Attempt, Run, UserError
from deltanas.report.provenance import lineage, recipe_of

_INDEX = "deltanas.json"  # which network came from which attempt
_ADAPTERS, _WEIGHTS = "adapters", "adapter_model.safetensors"


class FolderError(UserError):
    """A run holds nothing for such a folder; the message says what is missing."""


def export_lemur(directory: Path, run: Run, dest: Path) -> None:
    """Write every new network that learned something, with its one-epoch statistics.

    Accuracies are those of the test split, as LEMUR's are, under the seed of the search and under
    fresh ones. Finalists are not among them: a run does not record how long they took.
    """
    rows = [row for row in run.attempts if _is_taken(row)]
    if not rows:
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
        for row in rows
    )
    index = {
        lemur_name(row.code): {
            "run": run.meta.get("run_id") or directory.name,
            "attempt": row.attempt_id,
            "dataset": row.dataset,
            "lineage": lineage(run, row),
            "gain": row.gain,
        }
        for row in rows
    }
    files[_INDEX] = json.dumps(index, indent=2, allow_nan=False) + "\n"
    partial = dest.with_name(f".{dest.name}.unfinished")
    shutil.rmtree(partial, ignore_errors=True)
    for name, text in files.items():
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "replace"))
    partial.replace(dest)
    place = dest / "ab"
    emit(f"{len(index)} networks; LEMUR finds them once {place} is copied over its own ab\n")
    if any(row.dataset == "digits" for row in rows):
        emit("LEMUR has no data set digits: it lists these networks, and trains them on others\n")


def export_adapter(directory: Path, run: Run, dest: Path) -> None:
    """Write the adapter of the last cycle that has one."""
    from deltanas.tune.adapter_export import write_adapter

    found = sorted(
        (directory / _ADAPTERS).glob(f"cycle_[0-9]*/{_WEIGHTS}"),
        key=lambda path: int(path.parent.name.removeprefix("cycle_")),
    )
    if not found:
        raise FolderError(
            f"{directory} holds no adapter: its LLM was not tuned, or it broke off before"
        )
    folder = found[-1].parent
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
