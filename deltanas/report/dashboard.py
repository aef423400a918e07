"""The Weights & Biases workspace of a search, as code: every panel shows a metric of `names`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanas.report import keys

if TYPE_CHECKING:
    import wandb_workspaces.workspaces as ws

SECTIONS: tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...] = (
    (
        "Valid rate",
        (
            ("Valid and useful rate", (keys.VALID_RATE, keys.USEFUL_RATE)),
            ("Distinct rate", (keys.DISTINCT_RATE,)),
            ("Candidates admitted", (keys.ADMITTED,)),
            ("Infrastructure failures", (keys.INFRASTRUCTURE_FAILURES,)),
        ),
    ),
    (
        "Accuracy",
        (
            ("Mean first-epoch accuracy", (keys.MEAN_FIRST_EPOCH_ACCURACY,)),
            ("Best first-epoch accuracy", (keys.BEST_FIRST_EPOCH_ACCURACY,)),
            ("Mean gain over the parent", (keys.MEAN_GAIN,)),
        ),
    ),
    (
        "Diff length",
        (
            ("Delta lines", (keys.DELTA_LINES,)),
            ("Delta tokens", (keys.DELTA_TOKENS,)),
        ),
    ),
    (
        "LoRA",
        (
            (
                "Held-out loss before and after",
                (keys.TUNE_LOSS_BEFORE, keys.TUNE_LOSS_AFTER),
            ),
        ),
    ),
)
CONFIRMED = (
    keys.CONFIRMED_RATE,
    keys.CONFIRMED_BEST,
    keys.CONFIRMED_GAIN,
    keys.TOP10_ERROR,
    keys.TOP10_ERROR_BASELINES,
)
STUDY = (
    keys.SPEARMAN_RHO,
    keys.SPEARMAN_LOW,
    keys.SPEARMAN_HIGH,
    keys.SPEARMAN_N,
)


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
                wr.LinePlot(title=panel, x=keys.CYCLE, y=list(metrics), title_x="cycle")
                for panel, metrics in panels
            ],
            is_open=True,
        )
        for title, panels in SECTIONS
    ]
    for place, name, metrics in ((2, "Confirmed", CONFIRMED), (4, "Spearman rho", STUDY)):
        bars: list[Any] = [
            wr.BarPlot(title=keys.TITLES[metric], metrics=[wr.SummaryMetric(metric)])
            for metric in metrics
        ]
        sections.insert(place, ws.Section(name=name, panels=bars, is_open=True))
    runs: list[Any] = [wr.RunComparer(diff_only="split")]
    sections.append(ws.Section(name="Runs", panels=runs, is_open=True))
    return ws.Workspace(
        entity=entity,
        project=project,
        name="deltanas search",
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=keys.CYCLE),
    )
