"""Does one epoch preserve the ranking? The finalists' curves, and final against proxy accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from deltanas.records import Finalist
from deltanas.report.svg import A, B, C, drawing

COLOURS, MARKERS = (A, B, C), "osD^vP"


def curves_plot(finalists: Sequence[Finalist]) -> str | None:
    """Draw every finalist's validation accuracy after each epoch, one colour a data set."""
    curves = [finalist for finalist in finalists if finalist.curve]
    if not curves:
        return None
    from matplotlib.ticker import MaxNLocator

    datasets = sorted({finalist.dataset for finalist in curves})
    with drawing("curves", "Validation accuracy of every finalist by epoch") as picture:
        axes = picture.axes
        for finalist in curves:
            colour = COLOURS[datasets.index(finalist.dataset) % len(COLOURS)]
            heights = [100 * accuracy for accuracy in finalist.curve]
            axes.plot(range(1, len(heights) + 1), heights, color=colour, linewidth=1.3, alpha=0.75)
            axes.plot([1], heights[:1], color=colour, marker="o", markersize=4)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        axes.set_xlabel("epoch")
        axes.set_ylabel("accuracy (validation), %")
    return picture.svg


def fidelity_plot(finalists: Sequence[Finalist]) -> str | None:
    """Draw final accuracy (test split) against proxy accuracy, one colour per dataset."""
    pairs = [
        (finalist.dataset, 100 * finalist.proxy_accuracy, 100 * finalist.final_accuracy)
        for finalist in finalists
        if finalist.final_accuracy is not None
    ]
    if not pairs:
        return None
    with drawing("fidelity", "Final accuracy against proxy accuracy") as picture:
        axes = picture.axes
        datasets = sorted({dataset for dataset, _, _ in pairs})
        for index, dataset in enumerate(datasets):
            axes.scatter(
                [x for name, x, _ in pairs if name == dataset],
                [y for name, _, y in pairs if name == dataset],
                s=34,
                color=COLOURS[index % len(COLOURS)],
                marker=MARKERS[index % len(MARKERS)],
                alpha=0.85,
                linewidth=0,
                label=dataset,
            )
        axes.set_xlabel("after one epoch (validation), %")
        axes.set_ylabel("fully trained (test), %")
        if len(datasets) > 1:
            axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    return picture.svg
