"""The run's report: one self-contained HTML file that needs neither network nor scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deltanas.records import Attempt, CycleSummary, Finalist, Run, Summary, Verdict
from deltanas.report.diffs import DIFF_CSS, best_attempts, diff_fragment, lineage
from deltanas.report.formats import dotted
from deltanas.report.headline import headline, stages
from deltanas.report.metrics import is_valid
from deltanas.report.pages import Plot, render
from deltanas.report.ranking import Correlation, Fidelity, fidelity
from deltanas.report.run import plots
from deltanas.report.run.funnel import funnel

BEST = 5  # candidates shown with their deltas
REASON_LENGTH = 240  # characters of a reason that the report shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """One of the best candidates, with its delta as HTML and the networks it descends from."""

    attempt: Attempt
    diff: str
    ancestors: list[str]  # parent first, archive network last


def run_page(run: Run, summary: Summary) -> str:
    """Return the report of a run, finished or broken off: HTML below 1 MB.

    Text that an LLM wrote is escaped.
    """
    return render("run/report.html.j2", _context(run, summary))


def _context(run: Run, summary: Summary) -> dict[str, Any]:
    attempts, cycles, finalists = run.attempts, run.cycles, run.finalists
    found = fidelity(finalists, run.repeats, summary.seed)
    return {
        "summary": summary,
        "headline": headline(summary),
        "stages": stages(summary),
        "cycle_plots": _cycle_plots(cycles),
        "length_plots": _length_plots(attempts, summary),
        "study_plots": _study_plots(finalists, found),
        "study_rows": _study_rows(found),
        "ceiling": found.ceiling,
        "tune_plots": _tune_plots(cycles),
        "cycles": cycles,
        "gates": funnel(attempts),
        "verdicts": [
            (verdict, summary.verdicts[verdict], _example(attempts, verdict))
            for verdict in Verdict
            if summary.verdicts[verdict] and verdict is not Verdict.TRAINED
        ],
        "best": _best(run),
        "repeats": {repeat.attempt_id: repeat.final_accuracy for repeat in run.repeats},
        "finalists": sorted(finalists, key=lambda f: -f.proxy_accuracy),
        "config": list(dotted(run.meta.get("config") or {})),
        "versions": list(dotted(run.meta.get("versions") or {})),
        "diff_css": DIFF_CSS,
    }


def _cycle_plots(cycles: Sequence[CycleSummary]) -> list[Plot]:
    return [
        Plot(
            title="Valid and useful rate",
            svg=plots.valid_rate_plot(cycles),
            caption="Share of attempts; the band is the 95 % Wilson interval of the valid rate.",
        ),
        Plot(
            title="First-epoch accuracy",
            svg=plots.accuracy_plot(cycles),
            caption="Test split after one epoch, over valid candidates.",
        ),
    ]


def _length_plots(attempts: Sequence[Attempt], summary: Summary) -> list[Plot]:
    lengths = [a.delta_lines for a in attempts if a.delta_lines is not None]
    gains = [a.gain for a in attempts if is_valid(a) and a.gain is not None]
    return [
        Plot(
            title="Delta length",
            svg=plots.lengths_plot(lengths, summary.mean_full_lines),
            caption="Lines of every delta as written, headers included.",
        ),
        Plot(
            title="Gain over the parent",
            svg=plots.gains_plot(gains),
            caption="Proxy accuracy of valid candidates minus their parent's.",
        ),
    ]


def _study_plots(finalists: Sequence[Finalist], found: Fidelity) -> list[Plot]:
    return [
        Plot(
            title="Final against proxy accuracy",
            svg=plots.fidelity_plot(finalists, found.pooled),
            caption="Finalists: proxy accuracy against test accuracy after full training.",
        ),
        Plot(
            title="Rank correlation",
            svg=plots.rho_plot(found),
            caption="Spearman's ρ of the two with its 95 % bootstrap interval, within datasets.",
        ),
    ]


def _study_rows(found: Fidelity) -> list[tuple[str, Correlation]]:
    """Return the correlations of a study with their names, those not asked for left out."""
    rows = [(name, correlation) for name, correlation in found.by_dataset.items()]
    if len(rows) > 1:
        rows.append(("all datasets, ranked within each", found.pooled))
    if found.ceiling.agreement.n:
        rows.append(("two seeds, both fully trained", found.ceiling.agreement))
    return rows


def _tune_plots(cycles: Sequence[CycleSummary]) -> list[Plot]:
    return [
        Plot(
            title="Held-out loss",
            svg=plots.tune_loss_plot(cycles),
            caption="Loss on held-out pairs before and after each cycle's tuning.",
        ),
    ]


def _example(attempts: Sequence[Attempt], verdict: Verdict) -> str:
    """Return the first reason given with a verdict, shortened."""
    reasons = (a.reason for a in attempts if a.verdict is verdict and a.reason)
    reason = next(reasons, "")
    return reason if len(reason) <= REASON_LENGTH else reason[: REASON_LENGTH - 1] + "…"


def _best(run: Run) -> list[Best]:
    parents = {used.baseline.baseline_id: used.baseline.parent_id for used in run.baselines}
    return [
        Best(
            attempt=attempt,
            diff=diff_fragment(attempt.delta),
            ancestors=lineage(attempt, parents),
        )
        for attempt in best_attempts(run.attempts, BEST)
    ]
