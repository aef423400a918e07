"""What the terminal shows: a table with honest blanks, and few lines in log files."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from deltanas.records import CycleSummary, Stage, Summary
from deltanas.report.console import CycleProgress, TaskProgress, print_summary
from deltanas.report.metrics import summarise_cycle
from deltanas.report.remaining import Work


def _plain(width: int = 120) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=width, force_terminal=False), text


def test_the_table_shows_every_cycle_and_headline(
    summary: Summary, cycles: list[CycleSummary]
) -> None:
    console, text = _plain()
    print_summary(summary, [*cycles, summarise_cycle(2, [])], console)
    shown = text.getvalue().replace("\u00a0", " ")
    rows = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert "2/4" in rows["0"]
    assert "1.500 → 1.250" in rows["0"]
    assert "1.250 → 1.500 undone" in rows["1"]
    assert rows["2"].split() == ["2", "0/0", "0", "0", "–", "–", "–", "–", "–"]
    assert "62.5 %" in rows["Valid"]
    assert "0.80" in rows["Spearman"]
    assert "1 min 30 s" in rows["Time"]


def test_without_a_terminal_only_finished_cycles_are_printed(cycles: list[CycleSummary]) -> None:
    console, text = _plain(40)
    with CycleProgress(console, Work(cycles=2)) as progress:
        for cycle in cycles:
            progress.begin(Stage.evaluate, f"cycle {cycle.cycle}: evaluate", total=4)
            for _ in range(4):
                progress.advance()
            progress.end_cycle(cycle)
        progress.say("[finalists] done")
    lines = text.getvalue().splitlines()
    assert [line[:7] for line in lines] == ["cycle 0", "cycle 1", "[finali"]
    assert "2/4 valid" in lines[0]


def test_on_a_terminal_the_stage_and_its_steps_are_shown(cycles: list[CycleSummary]) -> None:
    text = io.StringIO()
    console = Console(file=text, width=100, force_terminal=True)
    with CycleProgress(console, Work(cycles=3)) as progress:
        progress.begin(Stage.evaluate, "cycle 1: evaluate", total=12)
        progress.advance(5)
    assert "cycle 1: evaluate" in text.getvalue()
    assert "5/12" in text.getvalue()
    assert "0/3" in text.getvalue()


ASKED = Work(cycles=3, attempts=12, confirm=40, study=3, epochs=50)


def test_every_line_says_how_much_time_is_left(
    cycles: list[CycleSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("deltanas.report.console.time.monotonic", lambda: now[0])
    console, text = _plain()
    with CycleProgress(console, ASKED) as progress:
        progress.end_cycle(cycles[0], recalled=True)
        progress.end_cycle(cycles[1])
        progress.begin(Stage.confirm, "confirm", 8)
        progress.advance(8)
        progress.begin(Stage.study, "study: finalists", 3, 1)
        now[0] = 50.0
        progress.advance()
        progress.say(f"half of it{progress._left()}")
    lines = text.getvalue().splitlines()
    assert "left" not in lines[0]
    # 13.75 s a cycle of 4 attempts; 1 s of evaluation for 5 valid in 2 cycles, so 0.4 s an epoch
    assert lines[1].endswith("; about 90 s left")
    assert lines[2] == "confirm: 8 trainings to do; about 75 s left"
    assert lines[3] == "study: finalists: 2 trainings to do; about 55 s left"
    assert lines[4] == "half of it; about 50 s left"  # by its own pace


def test_on_a_terminal_the_time_that_is_left_stands_beside_the_bars(
    cycles: list[CycleSummary],
) -> None:
    for width, shown in ((100, True), (50, False)):
        console = Console(file=io.StringIO(), width=width, force_terminal=True)
        with CycleProgress(console, ASKED) as progress:
            progress.end_cycle(cycles[0])
        plain = re.sub("\\x1b.*?m", "", console.file.getvalue())  # type: ignore[attr-defined]
        assert bool(re.search(r"1/3 +0:00:0\d about 2 min left", plain)) is shown


def test_without_a_terminal_every_task_is_one_line() -> None:
    console, text = _plain(40)
    with TaskProgress(console) as progress:
        progress("download MNIST to [here]", 0, 0)
        for done in (1, 2):
            progress("decode MNIST: train", done, 2)
    assert text.getvalue().splitlines() == ["download MNIST to [here]", "decode MNIST: train"]


def test_on_a_terminal_a_counted_task_is_a_bar() -> None:
    text = io.StringIO()
    with TaskProgress(Console(file=text, width=100, force_terminal=True)) as progress:
        progress("download MNIST to [here]", 0, 0)
        assert text.getvalue() == "download MNIST to [here]\n"  # torchvision's own bar is next
        progress("decode MNIST: train", 7, 9)
    assert "7/9" in text.getvalue()
