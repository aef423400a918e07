"""The Weights & Biases workspace of a search, as code: every panel shows a metric of `names`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanas.report import metric_names as names

if TYPE_CHECKING:
    import wandb_workspaces.workspaces as ws

SECTIONS: tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...] = (
    (
        "Valid rate",
        (
            ("Valid and useful rate", (names.VALID_RATE, names.USEFUL_RATE)),
            ("Candidates admitted", (names.ADMITTED,)),
            ("Infrastructure failures", (names.INFRASTRUCTURE_FAILURES,)),
        ),
    ),
    (
        "Accuracy",
        (
            ("Mean first-epoch accuracy", (names.MEAN_FIRST_EPOCH_ACCURACY,)),
            ("Best first-epoch accuracy", (names.BEST_FIRST_EPOCH_ACCURACY,)),
            ("Mean gain over the parent", (names.MEAN_GAIN,)),
        ),
    ),
    (
        "Diff length",
        (
            ("Delta lines", (names.DELTA_LINES,)),
            ("Delta tokens", (names.DELTA_TOKENS,)),
        ),
    ),
    (
        "LoRA",
        (("Held-out loss before and after", (names.TUNE_LOSS_BEFORE, names.TUNE_LOSS_AFTER)),),
    ),
)
STUDY = (names.SPEARMAN_RHO, names.SPEARMAN_LOW, names.SPEARMAN_HIGH, names.SPEARMAN_N)


def workspace(entity: str, project: str) -> ws.Workspace:
    """Return the workspace, built without network; its owner decides whether to save it.

    Line plots have the x axis `cycle`; Spearman's rho compares runs as bars.
    """
    import wandb_workspaces.reports.v2.interface as wr
    import wandb_workspaces.workspaces as ws

    sections = [
        ws.Section(
            name=title,
            panels=[
                wr.LinePlot(title=panel, x=names.CYCLE, y=list(metrics), title_x="cycle")
                for panel, metrics in panels
            ],
            is_open=True,
        )
        for title, panels in SECTIONS
    ]
    bars: list[Any] = [
        wr.BarPlot(title=names.TITLES[metric], metrics=[wr.SummaryMetric(metric)])
        for metric in STUDY
    ]
    sections.insert(3, ws.Section(name="Spearman rho", panels=bars, is_open=True))
    runs: list[Any] = [wr.RunComparer(diff_only="split")]
    sections.append(ws.Section(name="Runs", panels=runs, is_open=True))
    return ws.Workspace(
        entity=entity,
        project=project,
        name="deltanas search",
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=names.CYCLE),
    )
