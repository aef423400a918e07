"""A view of the run outside its directory: Weights & Biases, or nothing.

`run.sqlite` stays the truth; a tracker only shows what is in it. Offline is the default: nothing
leaves the machine until its owner calls `wandb sync`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from deltanas.records import Attempt, CycleSummary, Summary
from deltanas.report import keys
from deltanas.report.diffs import best_attempts, diff_page
from deltanas.report.metrics import cycle_metrics, study_metrics

if TYPE_CHECKING:
    import wandb

NAME_LENGTH, TAG_LENGTH = 128, 64  # characters that W&B takes; it refuses longer tags
CANDIDATE_COLUMNS = (
    "attempt_id",
    "cycle",
    "parent_id",
    "verdict",
    "proxy_accuracy",
    "first_epoch_accuracy",
    "gain",
    "delta_lines",
    "admitted",
    "reason",
    "delta",
)


class NotStartedError(RuntimeError):
    """The tracker is told something before `start`: the caller errs."""


class Tracker(Protocol):
    """Shows a run while it goes on. Calls come in this order.

    `finish` comes exactly once, also where the run breaks.
    """

    def start(self, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        """Open the run of an id, with a name for people.

        The configuration is a plain nested mapping.
        """
        ...

    def log_cycle(self, summary: CycleSummary) -> None:
        """Show one finished cycle."""
        ...

    def log_candidates(self, attempts: Sequence[Attempt]) -> None:
        """Show every attempt of the run, once, at its end."""
        ...

    def finish(self, summary: Summary | None) -> None:
        """Show the summary's flat keys and close the run; None: the run broke off before it."""
        ...


class NullTracker:
    """Shows nothing."""

    def start(self, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log_cycle(self, summary: CycleSummary) -> None:
        """Do nothing."""

    def log_candidates(self, attempts: Sequence[Attempt]) -> None:
        """Do nothing."""

    def finish(self, summary: Summary | None) -> None:
        """Do nothing."""


class WandbTracker:
    """Logs a run to Weights & Biases under the names of `names`, with the x axis `cycle`."""

    def __init__(
        self,
        *,
        project: str,
        directory: Path,
        entity: str | None = None,
        group: str | None = None,
        mode: Literal["offline", "online"] = "offline",
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
        self._mode = mode
        self._directory = directory
        self._tags = tuple(tags)
        self._say = say
        self._run: wandb.Run | None = None
        self._died = False
        self._last_cycle = 0

    def start(self, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        """Open the run; online, a known id goes on with its run.

        W&B refuses ids that hold any of `/ \\ # ? % :`, and takes any name.
        """
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

    def log_cycle(self, summary: CycleSummary) -> None:
        """Log one cycle's measured figures in one step."""
        self._last_cycle = summary.cycle
        if self._died:
            return
        with self._shielded():
            self._open_run().log(cycle_metrics(summary))

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
