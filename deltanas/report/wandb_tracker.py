"""The view of a run in Weights & Biases.

Offline is the default: nothing leaves the machine until its owner calls `wandb sync`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deltanas.records import Attempt, CycleSummary, Finalist, Summary, TrackerMode
from deltanas.report import keys
from deltanas.report.diffs import best_attempts, diff_page
from deltanas.report.metrics import cycle_metrics, is_valid, study_metrics

if TYPE_CHECKING:
    import wandb

NAME_LENGTH, TAG_LENGTH = 128, 64  # characters that W&B takes; it refuses longer tags
CANDIDATE_COLUMNS = (
    *("attempt_id", "cycle", "parent_id", "verdict", "proxy_accuracy", "first_epoch_accuracy"),
    *("gain", "delta_lines", "admitted", "reason", "delta"),
)
_OF_THE_BEST = ("attempt_id", "parent_id", "dataset", "proxy_accuracy", "first_epoch_accuracy")


class NotStartedError(RuntimeError):
    """The tracker is told something before `start`: the caller errs."""


class WandbTracker:
    """Logs a run to Weights & Biases under the names of `keys`, with the x axis `cycle`."""

    def __init__(
        self,
        *,
        project: str,
        directory: Path,
        entity: str | None = None,
        group: str | None = None,
        mode: TrackerMode = TrackerMode.offline,
        tags: Sequence[str] = (),
        say: Callable[[str], None],
    ) -> None:
        """Keep the settings; nothing is opened before `start`.

        The run's files go to `directory/wandb`. `group` ties the jobs of one sweep together.
        Where W&B fails, `say` gets one sentence, and later calls do nothing.
        """
        self._project = project
        self._entity = entity
        self._group = group
        self._mode: Literal["offline", "online"] = mode.value
        self._directory = directory
        self._tags = tuple(tags)
        self._say = say
        self._run: wandb.Run | None = None
        self._died = False
        self._last_cycle = 0
        self._rows = 0
        self._best: float | None = None  # proxy accuracy so far

    def start(
        self, run_id: str, name: str, config: Mapping[str, Any], shown: Sequence[Attempt] = ()
    ) -> None:
        """Open the run; online, a known id goes on with its run.

        W&B refuses ids that hold any of `/ \\ # ? % :`, and takes any name.
        """
        for attempt in shown:
            self._count(attempt)
        with self._shielded("cannot show this run"):
            import wandb

            # The library's own telemetry asks the process's settings, not the run's, for the mode.
            wandb.setup(settings=wandb.Settings(mode=self._mode, silent=True))
            self._run = wandb.init(
                project=self._project,
                entity=self._entity,
                group=self._group and _shortened(self._group, NAME_LENGTH),
                mode=self._mode,
                dir=str(self._directory),
                id=run_id,
                name=_shortened(name, NAME_LENGTH),
                resume="allow" if self._mode == "online" else None,
                tags=[_shortened(tag, TAG_LENGTH) for tag in self._tags],
                job_type="search",
                config=dict(config),
                reinit="finish_previous",
                settings=wandb.Settings(
                    silent=True, console="off", x_disable_stats=True, disable_git=True
                ),
            )
            self._run.define_metric(keys.CYCLE, hidden=True)
            for metric in keys.TITLES:
                self._run.define_metric(metric, step_metric=keys.CYCLE)
            for axis, group in ((keys.ATTEMPT, "attempt/*"), (keys.EPOCH, f"{keys.FINALISTS}*")):
                self._run.define_metric(axis, hidden=True)
                self._run.define_metric(group, step_metric=axis)

    def log_cycle(self, summary: CycleSummary) -> None:
        """Log one cycle's measured figures in one step."""
        self._last_cycle = summary.cycle
        if self._died:
            return
        with self._shielded():
            self._open_run().log(cycle_metrics(summary))

    def log_row(self, attempt: Attempt) -> None:
        """Log one attempt's measured figures in one step, with the best accuracy so far."""
        if self._died:
            return
        self._count(attempt)
        figures = {
            keys.ATTEMPT: self._rows,
            keys.ATTEMPT_VALID: int(is_valid(attempt)),
            keys.ATTEMPT_ACCURACY: attempt.proxy_accuracy,
            keys.ATTEMPT_BEST: self._best,
            keys.ATTEMPT_GAIN: attempt.gain,
            keys.ATTEMPT_LINES: attempt.delta_lines,
        }
        with self._shielded():
            self._open_run().log({k: value for k, value in figures.items() if value is not None})

    def _count(self, attempt: Attempt) -> None:
        self._rows += 1
        best = [self._best, None if attempt.degenerate else attempt.proxy_accuracy]
        self._best = max((known for known in best if known is not None), default=None)

    def log_finalists(self, finalists: Sequence[Finalist]) -> None:
        """Log every finalist's validation accuracy, one step an epoch."""
        if self._died:
            return
        epochs = max((len(finalist.curve) for finalist in finalists), default=0)
        with self._shielded():
            for epoch in range(epochs):
                found = {
                    f"{keys.FINALISTS}{finalist.attempt_id}": finalist.curve[epoch]
                    for finalist in finalists
                    if epoch < len(finalist.curve)
                }
                self._open_run().log({keys.EPOCH: epoch + 1, **found})

    def log_files(self, report: Path, attempts: Sequence[Attempt]) -> None:
        """Keep the report, and the best network by proxy accuracy as `net.py`, as artifacts."""
        if self._died:
            return
        import wandb

        with self._shielded():
            page = wandb.Artifact(keys.REPORT, type="report")
            page.add_file(str(report))
            self._open_run().log_artifact(page)
            for best in best_attempts(attempts, limit=1):
                known = {name: _cell(getattr(best, name)) for name in _OF_THE_BEST}
                network = wandb.Artifact(keys.NETWORK, type="network", metadata=known)
                with network.new_file("net.py", encoding="utf-8") as file:
                    file.write(best.code)
                self._open_run().log_artifact(network)

    def log_candidates(self, attempts: Sequence[Attempt]) -> None:
        """Log a table of all attempts and the best ones' deltas as HTML."""
        if self._died:
            return
        with self._shielded():
            self._open_run().log(self._candidates(attempts))

    def _candidates(self, attempts: Sequence[Attempt]) -> dict[str, Any]:
        import wandb

        table = wandb.Table(columns=list(CANDIDATE_COLUMNS))
        for attempt in attempts:
            table.add_data(*(_cell(getattr(attempt, name)) for name in CANDIDATE_COLUMNS))
        media: dict[str, Any] = {
            keys.CYCLE: self._last_cycle,
            keys.CANDIDATES: table,
        }
        best = best_attempts(attempts)
        if best:
            media[keys.BEST_DELTAS] = wandb.Html(diff_page(best), inject=False)
        return media

    def finish(self, summary: Summary | None) -> None:
        """Write the summary and close the run, also when writing fails."""
        if self._died:
            return
        import wandb

        with self._shielded():
            run = self._open_run()
            try:
                if summary is not None:
                    study = study_metrics(summary)
                    if study:
                        run.log({keys.CYCLE: self._last_cycle, **study})
                    run.summary.update(summary.flat())
            finally:
                wandb.finish(exit_code=1 if summary is None else 0)
                self._run = None

    def _open_run(self) -> wandb.Run:
        if self._run is None:
            raise NotStartedError("the tracker has no open run; call start first")
        return self._run

    @contextmanager
    def _shielded(self, failed: str = "stopped") -> Iterator[None]:
        """Say what W&B raises, and show nothing from then on: no view of a search ends it."""
        try:
            yield
        except NotStartedError:
            raise
        except Exception as error:  # noqa: BLE001 whatever another program's client thinks of
            self._died = True
            reason = " ".join(str(error).split()) or type(error).__name__
            self._say(
                f"W&B {failed} ({reason}); the search goes on without it, and run.sqlite holds"
                " all that it would have shown"
            )
            if "wandb" in sys.modules:
                with suppress(Exception):  # or it tries once more when the program ends
                    sys.modules["wandb"].teardown(exit_code=1)


def _shortened(text: str, length: int) -> str:
    """Return a text as W&B takes it: without what UTF-8 cannot hold, cut where it is too long."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _cell(value: object) -> object:
    """Return a table cell: enums as plain text."""
    return str(value) if isinstance(value, str) else value
