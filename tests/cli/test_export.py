"""`deltanas-export`: files that need no run, or one sentence why there are none."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from deltanas.cli.export import main
from deltanas.record.lock import held
from deltanas.record.store import RunStore
from deltanas.records import Attempt, Baseline, Evaluation, Origin, Verdict
from deltanas.report.network_file import read_recipe
from tests.evaluate.test_weights import table
from tests.fakes import network
from tests.run_fixtures import used

Fill = Callable[[RunStore], None]


@pytest.fixture
def run(tmp_path: Path, fill: Fill, baseline: Baseline) -> Path:
    """The directory of a run that has come to its end."""
    directory = tmp_path / "run"
    directory.mkdir()
    with RunStore(directory / "run.sqlite") as store:
        fill(store)
        child = replace(baseline, baseline_id="c00-s000", parent_id="plain-a")
        store.add_baseline(used(child, origin=Origin.ADMITTED))
        store.set_meta("run_id", "2026-11-29_7c1f2a")
    return directory


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], str]]:
    """Run the program; return its exit code, the lines of stdout, and stderr."""

    def call(*words: object) -> tuple[int, list[str], str]:
        code = main([str(word) for word in words])
        output, errors = capsys.readouterr()
        return code, output.splitlines(), errors

    return call


def test_the_best_network_becomes_one_file(run: Path, tmp_path: Path, say: Any) -> None:
    dest = tmp_path / "new" / "best.py"
    code, lines, _ = say(run, dest)
    assert code == 0
    assert lines[0].startswith("c01-s000 on digits, best confirmed: the highest mean")
    assert lines[-1] == str(dest)
    text = dest.read_text()
    assert text.endswith('"""\n\nclass Net: ...\n')
    assert "c01-s000 of run 2026-11-29_7c1f2a" in text
    name, recipe = read_recipe(text) or ("", None)
    assert (name, recipe.lr, recipe.batch, recipe.dropout) == ("digits", 0.01, 32, 0.1)
    assert stat.S_IMODE(dest.stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_is_asked_for_is_taken_and_named_after_its_attempt(
    run: Path, tmp_path: Path, say: Any
) -> None:
    assert say(run, tmp_path, "--best", "final")[1][-1] == str(tmp_path / "c00-s000.py")
    assert say(run / "run.sqlite", tmp_path, "--attempt", "c00-s001")[0] == 0
    text = (tmp_path / "c00-s001.py").read_text()
    assert "shape; channels 32 and 16 differ in head <b>" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lemur", "--best", "proxy"), "choose one network for a Python file"),
        (("--attempt", "c00-s000", "--dataset", "digits"), "names a network already"),
        (("--attempt", "c00-s000", "--best", "proxy"), "not allowed with argument"),
        (("--lemur", "--train", "3"), "not allowed with argument"),
        (("--train", "none"), "none is no count; it must be a whole number"),
        (("--best", "last"), "invalid choice: 'last' (choose from"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    words: tuple[str, ...], message: str, run: Path, say: Any, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as end:
        say(run, "x.py", *words)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_run_is_left_as_it_is(run: Path, tmp_path: Path, say: Any) -> None:
    before = (run / "run.sqlite").read_bytes()
    say(run, tmp_path / "best.py")
    assert (run / "run.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{tmp}/none", "x.py"), "none is missing. A path must be a run directory"),
        (("{tmp}/file", "x.py"), "file is a file"),
        (("{tmp}/void", "x.py"), "void holds no run"),
        (("{tmp}", "x.py"), "holds 1 run; name one, such as {tmp}/run"),
        (("{tmp}/run", "best.txt"), "best.txt does not end in .py; DEST must be"),
        (("{tmp}/run", "{tmp}/there.py"), "there.py is there already; nothing is written over"),
        (("{tmp}/run", "{tmp}/void", "--lemur"), "void is there already"),
        (("{tmp}/run", "x.py", "--attempt", "c09-s000"), "run: there is no attempt c09-s000; the"),
        (("{tmp}/run", "x.py", "--dataset", "svhn"), "no data set svhn in the run"),
        (("{tmp}/run", "x", "--adapter"), "run holds no adapter: its LLM was not tuned"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    words: tuple[str, ...], message: str, run: Path, tmp_path: Path, say: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "void").mkdir()
    for name in ("file", "there.py"):
        (tmp_path / name).write_text("")
    code, lines, errors = say(*(word.format(tmp=tmp_path) for word in words))
    assert (code, lines) == (2, [])
    assert message.format(tmp=tmp_path) in errors
    assert errors.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run", "there.py", "void"]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda store: store.write_bytes(b""), "run.sqlite is empty: the run broke off"),
        (lambda store: store.write_bytes(b"SQLite"), "cannot be used as a run's file"),
        (lambda store: os.truncate(store, store.stat().st_size // 2), "malformed"),
        (lambda store: store.unlink(), "holds no run.sqlite: the run broke off before it began"),
    ],
)
def test_a_broken_run_is_told_by_its_fault(
    harm: Callable[[Path], None], message: str, run: Path, tmp_path: Path, say: Any
) -> None:
    (run / "summary.json").write_text("{}")
    harm(run / "run.sqlite")
    code, _, errors = say(run, tmp_path / "x.py")
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1


def test_a_run_of_another_schema_is_told(run: Path, tmp_path: Path, say: Any) -> None:
    with RunStore(run / "run.sqlite") as store:
        store.set_meta("schema_version", 99)
    assert "has schema version 99; this program reads" in say(run, tmp_path / "x.py")[2]


def test_a_run_that_is_being_written_or_has_nothing_is_told(
    tmp_path: Path, run: Path, say: Any, baseline: Baseline, make_attempt: Callable[..., Attempt]
) -> None:
    with held(run / "run.sqlite"):
        assert "is being written by a process; wait" in say(run, tmp_path / "x.py")[2]
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    with RunStore(fresh / "run.sqlite") as store:
        store.add_baseline(used(baseline))
    assert "fresh: the run holds no attempts yet" in say(fresh, tmp_path / "x.py")[2]
    with RunStore(fresh / "run.sqlite") as store:
        store.append(make_attempt(0, 0, verdict=Verdict.SHAPE))
    assert "(attempts by verdict: 1 shape)" in say(fresh, tmp_path / "x.py")[2]
    assert "none of 1 attempts left a new network" in say(fresh, tmp_path / "x", "--lemur")[2]


def test_networks_in_lemurs_layout_come_with_where_they_are_from(
    run: Path, tmp_path: Path, say: Any
) -> None:
    dest = tmp_path / "found"
    code, lines, _ = say(run, dest, "--lemur")
    assert code == 0
    assert "LEMUR has no data set digits" in lines[1]
    index = json.loads((dest / "deltanas.json").read_text())
    ((name, told),) = index.items()  # equal sources are one network
    assert [each["attempt"] for each in told] == ["c00-s000", "c01-s000", "c01-s003"]
    assert told[2]["lineage"] == ["c01-s003", "c00-s000", "plain-a"]
    rows = json.loads(
        (dest / f"ab/nn/stat/train/img-classification_digits_acc_{name}/1.json").read_text()
    )
    tests = [0.5, 0.5, 0.875] + [0.375, 0.5, 0.625, 0.375, 0.625, 0.75]
    assert sorted(row["accuracy"] for row in rows) == sorted(tests)
    assert not list(tmp_path.glob(".*"))


def test_a_network_of_anothers_name_in_lemurs_layout_is_left_out_and_told(
    tmp_path: Path, say: Any, baseline: Baseline, make_attempt: Callable[..., Attempt]
) -> None:
    body = "class Net:\n    def f(self):\n        if self:\n            pass\n{}return 1\n"
    one, other = body.format(" " * 8), body.format(" " * 12)
    directory = tmp_path / "run"
    directory.mkdir()
    with RunStore(directory / "run.sqlite") as store:
        store.add_baseline(used(baseline))
        store.append(make_attempt(0, 0, code=one, first_epoch_accuracy=0.25))
        store.append(make_attempt(0, 1, code=other, first_epoch_accuracy=0.75))
    _, lines, _ = say(directory, tmp_path / "found", "--lemur")
    assert lines[0].startswith("c00-s001 is left out: it differs from c00-s000 in blanks only")
    ((name, told),) = json.loads((tmp_path / "found/deltanas.json").read_text()).items()
    assert [each["attempt"] for each in told] == ["c00-s000"]
    assert (tmp_path / f"found/ab/nn/nn/{name}.py").read_text() == one
    (rows,) = (tmp_path / "found/ab/nn/stat").rglob("1.json")
    assert [row["accuracy"] for row in json.loads(rows.read_text())] == [0.25]


@pytest.mark.parametrize("words", [(), ("--lemur",)])
def test_no_name_of_a_foreign_run_leads_out_of_the_destination(
    words: tuple[str, ...],
    tmp_path: Path,
    say: Any,
    baseline: Baseline,
    make_attempt: Callable[..., Attempt],
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "dest").mkdir()
    with RunStore(tmp_path / "run/run.sqlite") as store:
        store.add_baseline(used(baseline, dataset="x/../../../../../../../y"))
        row = make_attempt(0, 0, dataset="x/../../../../../../../y")
        store.append(replace(row, attempt_id="../x\x1b[2J"))
    dest = tmp_path / "dest/found" if words else tmp_path / "dest"
    code, _, errors = say(tmp_path / "run", dest, *words)
    assert code == 2
    assert ("the data set is called 'x/.." if words else r"the attempt '../x\x1b[2J'") in errors
    assert errors.count("\n") == 1
    assert "\x1b" not in errors
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_dir()) == ["dest", "run"]
    assert not [*tmp_path.rglob("*.py"), *tmp_path.rglob("*.json")]


def test_an_image_size_that_is_no_number_is_told(
    tmp_path: Path, say: Any, baseline: Baseline, make_attempt: Callable[..., Attempt]
) -> None:
    recipe = replace(baseline.recipe, image_size="8/../../../x")  # type: ignore[arg-type]
    (tmp_path / "run").mkdir()
    with RunStore(tmp_path / "run/run.sqlite") as store:
        store.add_baseline(used(replace(baseline, recipe=recipe)))
        store.append(make_attempt(0, 0))
    code, _, errors = say(tmp_path / "run", tmp_path / "found", "--lemur")
    assert code == 2
    assert "image_size of plain-a is '8/../../../x'; it must be a number" in errors


def test_an_adapter_that_links_out_of_its_run_is_refused(
    run: Path, tmp_path: Path, say: Any
) -> None:
    folder = run / "adapters/cycle_1"
    folder.mkdir(parents=True)
    (run / "adapters/cycle_2x").mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "adapter_model.safetensors").symlink_to(tmp_path / "secret")
    (run / "adapters/cycle_2x/adapter_model.safetensors").touch()  # no cycle's name
    code, _, errors = say(run, tmp_path / "adapter", "--adapter")
    assert code == 2
    assert "'adapters/cycle_1/adapter_model.safetensors' leads out of" in errors
    assert not (tmp_path / "adapter").exists()


def test_what_a_foreign_run_says_does_not_steer_the_terminal(
    tmp_path: Path, say: Any, baseline: Baseline, make_attempt: Callable[..., Attempt]
) -> None:
    (tmp_path / "run").mkdir()
    with RunStore(tmp_path / "run/run.sqlite") as store:
        store.set_meta("config", {"seed": "\x1b]0;owned\x07"})
        store.add_baseline(used(baseline))
        store.append(replace(make_attempt(0, 0), attempt_id="\x1b[2J"))
    code, lines, _ = say(tmp_path / "run", tmp_path / "net.py")
    assert code == 0
    assert r"\x1b[2J on digits" in lines[0]
    assert r"seed \x1b]0;owned\x07" in lines[1]
    assert "50.0 % on the validation split" in lines[1]
    assert not {"\x1b", "\x07"} & set("".join(lines))


def test_an_adapter_tells_no_path_and_may_be_read(run: Path, tmp_path: Path, say: Any) -> None:
    import numpy as np

    for cycle in ("cycle_99", "cycle_101"):
        folder = run / "adapters" / cycle
        folder.mkdir(parents=True)
        known = {
            "base_model_name_or_path": str(tmp_path / "llm"),
            "other": "/home/me",
            "r": 8,
            "lora_alpha": 16,
            "target_modules": ["v_proj", "q_proj"],
        }
        (folder / "adapter_config.json").write_text(json.dumps(known))
        (folder / "README.md").write_text(f"Made on {tmp_path}.\n- Merging keeps the logits.\n")
        save_file({"w": np.full(1, int(cycle[-1]))}, folder / "adapter_model.safetensors")
        (folder / "adapter_model.safetensors").chmod(0o600)
    dest = tmp_path / "adapter"
    assert say(run, dest, "--adapter")[1] == ["the adapter of cycle_101", str(dest)]
    assert load_file(dest / "adapter_model.safetensors")["w"] == 1
    for path in dest.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
        assert str(tmp_path).encode() not in path.read_bytes()
    config = json.loads((dest / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] is None
    assert config["other"] is None
    assert config["target_modules"] == ["q_proj", "v_proj"]
    card = (dest / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: peft\ntags: ")
    assert "- Merging keeps the logits." in card
    assert 'files("deltanas.llm") / "embedded"' in card


class Scripted:
    """An executor that answers as it is told, and keeps the jobs."""

    def __init__(self, *answers: Evaluation) -> None:
        self.answers, self.jobs = list(answers), []

    def map(self, jobs: Any) -> Any:
        self.jobs += jobs
        return [self.answers.pop(0)]


def scored(accuracy: float, **more: Any) -> Evaluation:
    return Evaluation(
        job_id="network",
        verdict=Verdict.TRAINED,
        proxy_accuracy=accuracy,
        test_accuracy=accuracy,
        curve=(accuracy,),
        **more,
    )


def test_weights_are_those_of_the_jail_and_their_figures_of_a_fresh_process(
    run: Path, tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = table({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(8))
    executor = in_place_of_the_jail(
        monkeypatch, scored(0.9, weights=weights), scored(0.75), screens=False
    )
    code, lines, _ = say(run, tmp_path / "best.py", "--train", "5")
    assert code == 0
    assert lines[-2:] == [str(tmp_path / "best.safetensors"), str(tmp_path / "best.py")]
    assert any("loaded anew it has 75.0" in line for line in lines)
    text = (tmp_path / "best.py").read_text()
    assert "5 epochs in the jail, seed 42: 75.0 % on the validation split" in " ".join(
        text.split()
    )
    assert "Net((32, 1, 8, 8), (10,), prm, device)" in text
    assert "less mean (0.2,), over deviation (0.4,)" in text
    assert load_file(tmp_path / "best.safetensors")["w"].tolist() == [0, 0]
    trained, loaded = executor.jobs
    assert (trained.epochs, trained.keep_weights, trained.weights) == (5, True, b"")
    assert (loaded.epochs, loaded.keep_weights, loaded.weights) == (1, False, weights)

    failed = Evaluation(job_id="x", verdict=Verdict.TIMED_OUT, reason="stopped after 9 s")
    for answers, message in (
        ((failed,), "c01-s000 did not train for 5 epochs: timed_out, stopped after 9 s"),
        ((scored(0.9, weights=weights), failed), "did not take its own weights back: timed_out"),
    ):
        executor.answers = list(answers)
        code, _, errors = say(run, tmp_path / "other.py", "--train", "5")
        assert code == 2
        assert message in errors
        assert not list(tmp_path.glob("*other*"))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (scored(0.9, overworked=True), "its own loop took more CPU time than the epochs"),
        (scored(0.9, batch_dependent=True), "it answers an image otherwise among other images"),
        (scored(0.1), "it learned nothing: proxy accuracy 0.100, where always"),
    ],
)
def test_weights_that_are_worth_nothing_say_so(
    found: Evaluation,
    told: str,
    run: Path,
    tmp_path: Path,
    say: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = table({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(8))
    accuracy = found.proxy_accuracy or 0.0
    in_place_of_the_jail(
        monkeypatch, replace(found, weights=weights), scored(accuracy), screens=False
    )
    code, lines, _ = say(run, tmp_path / "best.py", "--train", "5")
    assert code == 0
    assert any(line.startswith(told) for line in lines)
    assert f"doubt         {told}" in (tmp_path / "best.py").read_text()


def test_what_the_screen_refuses_is_not_trained(
    tmp_path: Path,
    say: Any,
    baseline: Baseline,
    make_attempt: Callable[..., Attempt],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "run").mkdir()
    with RunStore(tmp_path / "run/run.sqlite") as store:
        store.add_baseline(used(baseline))
        code = f'{network(8)}x = open("names.txt")\n'
        store.append(make_attempt(0, 0, verdict=Verdict.POLICY, code=code))
    executor = in_place_of_the_jail(monkeypatch)
    words = ("--attempt", "c00-s000", "--train", "1")
    ended, _, errors = say(tmp_path / "run", tmp_path / "net.py", *words)
    assert ended == 2
    assert "c00-s000 did not pass the screen: policy, " in errors
    assert executor.jobs == []
    assert not list(tmp_path.glob("net*"))


def in_place_of_the_jail(
    monkeypatch: pytest.MonkeyPatch, *answers: Evaluation, screens: bool = True
) -> Scripted:
    """Let --train be answered so; without `screens`, stand-ins for networks pass the screen."""
    images = SimpleNamespace(
        channels=1,
        num_classes=10,
        channel_statistics=lambda: ((51.0,), (102.0,)),
        majority_rate=lambda split: 0.1,
    )
    executor = Scripted(*answers)
    path = "deltanas.cli.export_weights"
    monkeypatch.setattr(f"{path}.one_worker", lambda *_: nullcontext((executor, images)))
    monkeypatch.setattr(f"{path}.config_of", config_of_digits)
    if not screens:
        monkeypatch.setattr(f"{path}.screened", lambda code: None)
    return executor


def config_of_digits(*_: object) -> Any:
    from deltanas.config.schema import Config, DatasetConfig

    return Config(seed=42, dataset=DatasetConfig(name="digits"))


def test_a_real_network_keeps_its_source(
    tmp_path: Path, say: Any, baseline: Baseline, make_attempt: Callable[..., Attempt]
) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    with RunStore(directory / "run.sqlite") as store:
        store.add_baseline(used(replace(baseline, code=network(3))))
        store.append(make_attempt(0, 0, code=network(8)))
    assert say(directory, tmp_path / "best.py")[0] == 0
    assert (tmp_path / "best.py").read_text().endswith(f'"""\n\n{network(8)}')
