"""The Weights & Biases workspace of a search, as code: every panel shows a metric of `keys`.

The four figures (valid rate, accuracy, delta length, Spearman's rho), what was distinct and what
was confirmed stand by cycle, a line a run, and by ablation, where runs are averaged over seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanas.records import UserError
from deltanas.report import keys

if TYPE_CHECKING:
    import wandb_workspaces.workspaces as ws

NAME = "deltanas search"
FIGURES: tuple[tuple[str, tuple[str, ...]], ...] = (  # by cycle
    ("Valid and useful rate", (keys.VALID_RATE, keys.USEFUL_RATE)),
    ("Mean first-epoch accuracy", (keys.MEAN_FIRST_EPOCH_ACCURACY,)),
    ("Delta lines", (keys.DELTA_LINES,)),
    ("Distinct rate", (keys.DISTINCT_RATE,)),
)
MORE: tuple[tuple[str, tuple[str, ...]], ...] = (  # by cycle too
    ("Best first-epoch accuracy", (keys.BEST_FIRST_EPOCH_ACCURACY,)),
    ("Mean gain over the parent", (keys.MEAN_GAIN,)),
    ("Delta tokens", (keys.DELTA_TOKENS,)),
    ("Candidates admitted", (keys.ADMITTED,)),
    ("Infrastructure failures", (keys.INFRASTRUCTURE_FAILURES,)),
    ("Held-out loss before and after LoRA", (keys.TUNE_LOSS_BEFORE, keys.TUNE_LOSS_AFTER)),
)
BY_ABLATION = (  # of the summary, whose keys are those of summary.json
    "valid_rate",
    "mean_first_epoch_accuracy",
    "mean_delta_lines",
    "spearman_rho",
    "distinct_rate",
    "confirmed_improved_rate",
    "confirmed_best_accuracy",
)
AT_THE_END = (  # what stands in no cycle, a bar a run
    *(keys.CONFIRMED_RATE, keys.CONFIRMED_BEST, keys.CONFIRMED_GAIN),
    *(keys.TOP10_ERROR, keys.TOP10_ERROR_BASELINES),
    *(keys.SPEARMAN_RHO, keys.SPEARMAN_LOW, keys.SPEARMAN_HIGH, keys.SPEARMAN_N),
)
ATTEMPTS = (
    ("Best validation accuracy so far", (keys.ATTEMPT_BEST,)),
    ("Validation accuracy", (keys.ATTEMPT_ACCURACY,)),
    ("Gain over the parent", (keys.ATTEMPT_GAIN,)),
    ("Delta lines", (keys.ATTEMPT_LINES,)),
    ("Valid", (keys.ATTEMPT_VALID,)),
)


class DashboardError(UserError):
    """W&B did not take or give the workspace; the message says why."""


def workspace(entity: str, project: str) -> ws.Workspace:
    """Return the workspace, built without network; its owner decides whether to save it."""
    spaces, wr = _libraries()
    ablation = {"groupby": wr.Config("ablation"), "groupby_aggfunc": "mean"}

    def lines(found: Any, x: str = keys.CYCLE, **options: Any) -> list[Any]:
        return [
            wr.LinePlot(title=title, x=x, y=list(metrics), title_x=_axis(x), **options)
            for title, metrics in found
        ]

    def bars(metrics: tuple[str, ...], **options: Any) -> list[Any]:
        return [
            wr.BarPlot(title=_title(metric), metrics=[wr.SummaryMetric(metric)], **options)
            for metric in metrics
        ]

    curves = wr.LinePlot(
        title="Validation accuracy of finalists",
        x=keys.EPOCH,
        metric_regex=f"{keys.FINALISTS}.*",
        title_x="epoch",
    )
    sections = {
        "By cycle": lines(FIGURES),
        "By ablation": [
            *bars(BY_ABLATION, **ablation),
            *lines(FIGURES, groupby_rangefunc="minmax", **ablation),
        ],
        "Confirmed, and Spearman rho": bars(AT_THE_END),
        "As attempts come": lines(ATTEMPTS, keys.ATTEMPT),
        "Finalists": [curves],
        "More by cycle": lines(MORE),
        "Runs": [wr.RunComparer(diff_only="split")],
    }
    made: ws.Workspace = spaces.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[
            spaces.Section(name=name, panels=panels, is_open=True)
            for name, panels in sections.items()
        ],
        settings=spaces.WorkspaceSettings(x_axis=keys.CYCLE),
    )
    return made


def dumped(entity: str, project: str) -> str:
    """Return the workspace as the JSON that W&B would be sent."""
    view = workspace(entity, project)._to_model()  # as its `save` does
    text: str = view.spec.model_dump_json(by_alias=True, exclude_none=True, indent=2)
    return text


def push(entity: str, project: str, known: str | None) -> tuple[str, bool]:
    """Save the workspace, over the one of the URL `known` if there is one; return its URL.

    Beside it stands whether it was made anew, as it also is where `known` is gone. What a user
    set for the list of runs stays. Raises DashboardError.
    """
    made: Any = workspace(entity, project)
    import wandb

    try:
        held = _held(known) if known else None
        if held is not None:
            held.sections, held.settings = made.sections, made.settings
        saved = (held or made).save()
        return str(saved.url), held is None
    except (wandb.errors.Error, ValueError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DashboardError(
            f"W&B did not take the workspace of {entity}/{project}: {reason}"
        ) from error


def _held(url: str) -> Any:
    """Return the workspace of a URL; None where there is none any more."""
    spaces, _ = _libraries()
    try:
        return spaces.Workspace.from_url(url)
    except ValueError as error:
        if "not found in project" in str(error):
            return None
        raise


def _libraries() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2.interface as wr
        import wandb_workspaces.workspaces as spaces
    except ModuleNotFoundError as error:
        raise DashboardError(
            f"{error.name} is not installed; pip install 'deltanas[dashboard]' brings it"
        ) from error
    return spaces, wr


def _axis(key: str) -> str:
    return key.partition("/")[0]


def _title(metric: str) -> str:
    return keys.TITLES.get(metric, metric.replace("_", " ").capitalize())
