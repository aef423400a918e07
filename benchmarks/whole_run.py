"""What a whole search costs, stage by stage, and whether that grows with its attempts.

    python benchmarks/whole_run.py [--attempts 40] [--starts 1]

Three questions, all asked of `python -m deltanas` itself with the embedded LLM:

- start: how long `--help` takes, and from the call to the first row on disk, in fresh processes;
- profile: where the seconds of the default run go;
- growth: a search of `--attempts`, its seconds by stage over the attempts, those of the last half
  by those of the first, and the memory of the main process. It makes cycles of up to 50 and no
  finalists. The LLM stays what it was (LoRA works, at the paper's learning rate, which does not
  move it) and writes at temperature 1.0, so that late attempts are the same work as early ones:
  otherwise it repeats itself, and what is not trained again hides what else may grow.

The seconds by stage are those that a run records itself. The benchmark's own clock is around
them: the interpreter's start, and the end with report, summary and tracker. Wall time also tells
what else the machine did; the CPU time of an attempt in either half does so less. The committed
figures and `whole_run.png` are of `--attempts 2000 --starts 5`.
"""

from __future__ import annotations

import argparse
import math
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from results import ROOT, write

from deltanas.record.store import RunStore
from deltanas.record.summary import read_summary
from deltanas.records import Attempt, CycleSummary, Stage, Summary

OUTSIDE = (Stage.start, Stage.confirm, Stage.study)
STAGES = tuple(stage for stage in Stage if stage not in OUTSIDE)  # of a cycle
STEADY = ["llm.temperature=1.0", "lora.lr=1e-5", "novelty.threshold=0.95"]
STEADY += ["archive.max_lines=50", "lora.pairs=12", "protocol.finalists=0"]
MARKS = (0.25, 0.5, 1.0)  # of all attempts: where memory is read
POLL_S = 0.2
GOALS = {"help_s": 1.0, "first_row_s": 20.0, "half_ratio": (0.9, 1.1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a run's process looks like at one moment."""

    attempts: int
    seconds: float  # since the call
    cpu_seconds: float  # of the main process alone
    memory_mb: float  # resident set
    peak_mb: float  # its highest so far
    load: float  # of the last minute


def run(
    words: Sequence[str], directory: Path, enough: Callable[[Sample], bool] = lambda _: False
) -> tuple[list[Sample], float]:
    """Run a search until it ends or has done enough; return samples and its wall time.

    Samples are taken when rows have come. Raises SystemExit where the search fails.
    """
    call = [sys.executable, "-m", "deltanas", f"hydra.run.dir={directory}", *words]
    threads = {"OMP_NUM_THREADS": "1"} if words else {}
    log = directory.with_suffix(".log")
    samples: list[Sample] = []
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            call, cwd=ROOT, stdout=output, stderr=output, env=os.environ | threads
        )
        while process.poll() is None:
            sample = look(process.pid, directory / "run.sqlite", began)
            if sample and (not samples or sample.attempts > samples[-1].attempts):
                samples.append(sample)
            if sample and enough(sample):
                process.terminate()
                process.wait()
                return samples, time.perf_counter() - began
            time.sleep(POLL_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(call)} failed:\n{log.read_text()}")
    return samples, time.perf_counter() - began


def look(pid: int, path: Path, began: float) -> Sample | None:
    """Return a sample, or None where no row is on disk yet, or the process has just ended."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            (attempts,) = connection.execute("SELECT count(*) FROM attempts").fetchone()
        status = Path(f"/proc/{pid}/status").read_text()
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        kib = {key: int(status.split(f"{key}:")[1].split()[0]) for key in ("VmRSS", "VmHWM")}
    except (sqlite3.OperationalError, OSError, IndexError):
        return None
    return attempts and Sample(
        attempts=attempts,
        seconds=time.perf_counter() - began,
        cpu_seconds=sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
        memory_mb=kib["VmRSS"] / 1024,
        peak_mb=kib["VmHWM"] / 1024,
        load=os.getloadavg()[0],
    )


def start(times: int, folder: Path) -> dict[str, Any]:
    """Return the seconds of `--help`, and those from the call to the first row of default runs."""
    asked = []
    for _ in range(times + 2):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "deltanas", "--help"], cwd=ROOT, stdout=-3)
        asked.append(time.perf_counter() - began)
    first = []
    for number in range(times):
        samples, _ = run([], folder / f"start{number}", lambda sample: True)
        first.append(samples[0])
    return {
        "help_s": spread(asked),
        "first_row_s": spread([sample.seconds for sample in first]),
        "load": [round(sample.load, 1) for sample in first],
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 2) for name, value in found.items()}


def profile(folder: Path) -> dict[str, Any]:
    """Return where the time of the default run goes, in seconds."""
    samples, wall = run([], folder / "default")
    summary = read_summary(folder / "default" / "summary.json")
    stages = {str(stage): round(value or 0.0, 2) for stage, value in summary.seconds.items()}
    stages["interpreter and end"] = round(wall - (summary.wall_seconds or 0.0), 2)
    return {
        "attempts": summary.attempted,
        "wall_s": round(wall, 2),
        "stages_s": stages,
        "unaccounted_s": round(wall - sum(stages.values()), 2),
        "first_row_s": round(samples[0].seconds, 2),
        "peak_mb": round(samples[-1].peak_mb),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A finished run of many attempts."""

    wall: float
    samples: list[Sample]
    cycles: tuple[CycleSummary, ...]
    rows: tuple[Attempt, ...]
    summary: Summary


def budget(attempts: int) -> list[str]:
    """Return the words of a search of so many attempts, or a few fewer to fill its cycles."""
    candidates = min(50, attempts // 4)
    cycles = attempts // candidates
    return [*STEADY, f"protocol.cycles={cycles}", f"protocol.candidates={candidates}"]


def grow(words: Sequence[str], directory: Path) -> Growth:
    """Run a search to its end and return what it left."""
    samples, wall = run(words, directory)
    with RunStore(directory / "run.sqlite", read_only=True) as store:
        found = store.read()
    summary = read_summary(directory / "summary.json")
    return Growth(
        wall=wall, samples=samples, cycles=found.cycles, rows=found.attempts, summary=summary
    )


def growth(run: Growth) -> dict[str, Any]:
    """Return what a run tells about how its cost and memory grow with its attempts."""
    cycles, rows, samples, summary = run.cycles, run.rows, run.samples, run.summary
    half = len(cycles) // 2
    first, last = cycles[:half], cycles[len(cycles) - half :]
    ratios: dict[str, float | None] = {stage: ratio(first, last, stage) for stage in STAGES}
    everything = math.fsum(map(whole, last)) / math.fsum(map(whole, first))
    cpu = processor((first, last), rows, samples)
    return {
        "attempts": len(rows),
        "wall_s": round(run.wall, 1),
        "start_s": round(summary.seconds[Stage.start] or 0.0, 1),
        "interpreter_and_end_s": round(run.wall - (summary.wall_seconds or 0.0), 1),
        "stages_s": {stage: round(summary.seconds[stage] or 0.0, 1) for stage in STAGES},
        "shares_of_halves": {
            stage: [share(each, stage) for each in (first, last)] for stage in STAGES
        },
        "last_half_by_first": {**ratios, "total": round(everything, 3)},
        "work_of_halves": [work(each, rows) for each in (first, last)],
        "cpu_ms_an_attempt_of_halves": cpu,
        "cpu_last_half_by_first": round(sum(cpu[1].values()) / sum(cpu[0].values()), 3),
        "memory_mb": [memory(samples, round(mark * len(rows))) for mark in MARKS],
        "load_of_halves": [load(samples, each) for each in (first, last)],
    }


def ratio(
    first: Sequence[CycleSummary], last: Sequence[CycleSummary], stage: Stage
) -> float | None:
    before, after = (seconds(each, stage) for each in (first, last))
    return round(after / before, 3) if before else None


def seconds(cycles: Sequence[CycleSummary], stage: Stage) -> float:
    return math.fsum(cycle.seconds.get(stage, 0.0) for cycle in cycles)


def whole(cycle: CycleSummary) -> float:
    """Return the wall time of a cycle."""
    return math.fsum(cycle.seconds.values())


def share(cycles: Sequence[CycleSummary], stage: Stage) -> float:
    return round(seconds(cycles, stage) / math.fsum(map(whole, cycles)), 4)


def work(cycles: Sequence[CycleSummary], rows: Sequence[Attempt]) -> dict[str, float]:
    """Return how much work a half was, and what a unit of it cost."""
    numbers = {cycle.cycle for cycle in cycles}
    own = [row for row in rows if row.cycle in numbers]
    trained = [row for row in own if row.seconds_evaluate]
    tokens = sum(row.output_tokens for row in own)
    figures = {
        "attempts": len(own),
        "in_the_jail": len(trained),
        "scores_reused": sum(row.reused_from is not None for row in own),
        "prompt_tokens": sum(row.prompt_tokens for row in own),
        "output_tokens": tokens,
        "generate_ms_a_token": 1e3 * seconds(cycles, Stage.generate) / tokens,
        "evaluate_ms_a_network": 1e3 * seconds(cycles, Stage.evaluate) / len(trained),
        "tune_s_a_cycle": seconds(cycles, Stage.tune) / len(cycles),
        "screen_ms_an_attempt": 1e3 * seconds(cycles, Stage.screen) / len(own),
        "record_ms_an_attempt": 1e3 * seconds(cycles, Stage.record) / len(own),
    }
    return {name: round(value, 2) for name, value in figures.items()}


def processor(
    halves: Sequence[Sequence[CycleSummary]], rows: Sequence[Attempt], samples: Sequence[Sample]
) -> list[dict[str, float]]:
    """Return the CPU time of an attempt of either half in ms: other work on the machine adds less.

    That of the main process counts from the first row to the last, without the start.
    """
    middle = sum(cycle.attempted for cycle in halves[0])
    between = min(samples, key=lambda sample: abs(sample.attempts - middle))
    marks = [samples[0], between, samples[-1]]
    found = []
    for half, begin, end in zip(halves, marks, marks[1:], strict=False):
        numbers = {cycle.cycle for cycle in half}
        own = [row for row in rows if row.cycle in numbers]
        main = (end.cpu_seconds - begin.cpu_seconds) / (end.attempts - begin.attempts)
        jail = sum(row.cpu_seconds or 0.0 for row in own if not row.reused_from) / len(own)
        found.append({"main": round(1e3 * main, 1), "jail": round(1e3 * jail, 1)})
    return found


def memory(samples: Sequence[Sample], attempts: int) -> dict[str, float]:
    """Return resident set and peak when so many attempts were stored."""
    sample = next((each for each in samples if each.attempts >= attempts), samples[-1])
    return {
        "attempts": sample.attempts,
        "resident": round(sample.memory_mb),
        "peak": round(sample.peak_mb),
    }


def load(samples: Sequence[Sample], cycles: Sequence[CycleSummary]) -> float:
    """Return the mean load of the machine during some cycles."""
    size = cycles[0].attempted
    low, high = cycles[0].cycle * size, (cycles[-1].cycle + 1) * size
    return round(statistics.fmean(s.load for s in samples if low < s.attempts <= high), 2)


def draw(run: Growth, path: Path) -> None:
    """Draw over the attempts: wall time by stage and CPU time, both cumulative, and memory."""
    from matplotlib.figure import Figure

    samples = run.samples
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    wall, cpu, memory = figure.subplots(1, 3)
    done = list(accumulate((cycle.attempted for cycle in run.cycles), initial=0))
    stages = [
        list(accumulate((cycle.seconds.get(stage, 0.0) for cycle in run.cycles), initial=0.0))
        for stage in STAGES
    ]
    wall.stackplot(done, stages, labels=STAGES, linewidth=0, alpha=0.85)
    wall.set_ylabel("wall time by stage, s")
    jail = list(accumulate(row.cpu_seconds or 0.0 for row in run.rows if not row.reused_from))
    counts = [i for i, row in enumerate(run.rows, 1) if not row.reused_from]
    seen = [sample.attempts for sample in samples]
    cpu.plot(counts, jail, label="jail")
    cpu.plot(seen, [s.cpu_seconds - samples[0].cpu_seconds for s in samples], label="main process")
    cpu.plot((0, counts[-1]), (0, jail[-1]), color="black", linewidth=0.8, linestyle="--")
    cpu.set_ylabel("CPU time, s")
    memory.plot(seen, [sample.peak_mb for sample in samples], label="peak")
    memory.plot(seen, [sample.memory_mb for sample in samples], label="resident")
    memory.set_ylabel("memory of the main process, MB")
    for axes in (wall, cpu, memory):
        axes.set(xlabel="attempts", xlim=(0, done[-1]), ylim=(0, None))
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], frameon=False, loc="upper left")
    memory.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=100)


def show(title: str, figures: dict[str, Any]) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        rows = (
            value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]
        )
        for row in rows:
            print(f"  {name:<28}{row}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--attempts", type=int, default=40, help="of the search that may grow")
    parser.add_argument("--starts", type=int, default=1, help="fresh default runs")
    asked = parser.parse_args()
    if asked.attempts < 8 or asked.starts < 1:
        parser.error("--attempts must be at least 8, which gives two cycles a half, --starts 1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {"start": start(asked.starts, folder)}
        show("start", figures["start"])
        figures["profile"] = profile(folder)
        show("profile of the default run", figures["profile"])
        found = grow(budget(asked.attempts), folder / "growth")
    figures["growth"] = {"command": " ".join(budget(asked.attempts)), **growth(found)}
    show("growth", figures["growth"])
    draw(found, ROOT / "benchmarks" / "results" / "whole_run.png")
    print(write("whole_run", {"goals": GOALS, **figures}))


if __name__ == "__main__":
    main()
