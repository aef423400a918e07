"""How a run was made: what was not recorded says so, and a resumed run tells what changed."""

from __future__ import annotations

from deltanas.records import Run
from deltanas.report.run.conditions import conditions


def test_command_and_places_are_told() -> None:
    meta = {
        "command": ["ablation=a b", "seed=1"],
        "overrides": [],
        "commit": "abc-dirty",
        "machine": {"cores": "2", "memory": "8 GiB"},
        "resumed": [{"commit": None, "jail": {"tier": "basic"}}],
    }
    told = dict(conditions(Run(meta=meta)))
    assert told["command"] == "deltanas 'ablation=a b' seed=1"
    assert told["overrides"] == "none: every setting has its default"
    assert told["machine"] == "cores 2, memory 8 GiB"
    assert told["went on with"] == "jail: tier basic; commit: not recorded"


def test_what_an_older_run_did_not_record_says_so() -> None:
    assert set(dict(conditions(Run())).values()) == {"not recorded"}
