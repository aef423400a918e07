"""The run's report: one self-contained HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deltanas.records import Attempt, CycleSummary, Finalist, Run, Summary, Verdict
from deltanas.report.diffs import DIFF_CSS, best_attempts, diff_fragment, lineage, parents_of
from deltanas.report.formats import decimal, dotted
from deltanas.report.headline import headline, stages
from deltanas.report.metrics import is_valid
from deltanas.report.pages import Plot, render
from deltanas.report.ranking import Correlation, Fidelity, fidelity
from deltanas.report.run import curves, plots
from deltanas.report.run.attempts import Row, packed_details, rows_of
from deltanas.report.run.best_so_far import best_so_far, best_so_far_plot
from deltanas.report.run.conditions import conditions
from deltanas.report.run.finding import Finding, finding, gain_interval
from deltanas.report.run.funnel import funnel
from deltanas.report.run.lineage import KINDS, gain_kind, lineage_of

FIRST_ROWS = 100  # attempts that the table shows at first; a page of 1,100 opens in a third
REASON_LENGTH = 240  # characters of a reason that the table of verdicts shows
SCRIPTS = tuple(f"run/{name}.js" for name in ("payload", "diff", "detail", "table"))
CONTENTS = (
    ("found", "What was found"),
    ("lineage", "Lineage"),
    ("attempts", "Attempts"),
    ("figures", "Figures"),
    ("cycles", "Cycles"),
    ("ends", "Where attempts end"),
    ("deltas", "Deltas"),
    ("study", "One epoch or many"),
    ("lora", "LoRA"),
    ("how", "How it was run"),
)


def run_page(run: Run, summary: Summary, note: str = "") -> str:
    """Return the report of a run, finished or not: HTML below 3 MB for 1,100 attempts.

    `note` is a sentence on its state, where it is not finished. Text that an LLM wrote is escaped,
    or packed as data of which the page's script makes text.
    """
    return render("run/report.html.j2", _context(run, summary, note), SCRIPTS)


def _context(run: Run, summary: Summary, note: str) -> dict[str, Any]:
    attempts, cycles, finalists = run.attempts, run.cycles, run.finalists
    found = fidelity(finalists, run.repeats, summary.seed)
    told = finding(run, summary)
    rows = sorted(rows_of(run), key=_best_first)
    return {
        "contents": CONTENTS,
        "note": note,
        "summary": summary,
        "finding": told,
        "gain_interval": gain_interval,
        "best": _best(run, told),
        "best_plot": best_so_far_plot(best_so_far(run)),
        "headline": headline(summary),
        "stages": stages(summary),
        "lineage": lineage_of(run),
        "kinds": KINDS,
        "gain_kind": gain_kind,
        "rows": rows,
        "first_rows": FIRST_ROWS,
        "families": sorted({row.family for row in rows}),
        "cycle_numbers": sorted({row.attempt.cycle for row in rows}),
        "verdict_names": [v for v in Verdict if summary.verdicts[v]],
        "details": packed_details(run),
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
        "repeats": {repeat.attempt_id: repeat.final_accuracy for repeat in run.repeats},
        "finalists": sorted(finalists, key=lambda f: -f.proxy_accuracy),
        "conditions": conditions(run),
        "config": list(dotted(run.meta.get("config") or {})),
        "versions": list(dotted(run.meta.get("versions") or {})),
        "diff_css": DIFF_CSS,
    }


def _best_first(row: Row) -> tuple[bool, float]:
    """Sort by proxy accuracy; what did not train, or learned nothing, comes last."""
    attempt = row.attempt
    sound = is_valid(attempt) and not attempt.degenerate
    return not sound, -(attempt.proxy_accuracy or 0.0)


def _best(run: Run, told: Finding) -> dict[str, Any] | None:
    """Return the delta of the network that the finding names, as HTML, and its ancestors."""
    named = [attempt for attempt in run.attempts if attempt.attempt_id == told.network]
    if not named:
        named = best_attempts(run.attempts, 1)
    if not named:
        return None
    return {
        "attempt": named[0],
        "diff": diff_fragment(named[0].delta),
        "ancestors": lineage(named[0], parents_of(run))[1:],
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
            title="Training curves of the finalists",
            svg=curves.curves_plot(finalists),
            caption="Validation accuracy after every epoch; the dot is the first, which stands for"
            " the rest in a search.",
        ),
        Plot(
            title="Final against proxy accuracy",
            svg=curves.fidelity_plot(finalists),
            caption=f"Every dot is a finalist. {_correlated(found)}",
        ),
    ]


def _correlated(found: Fidelity) -> str:
    """Say how the two go together, and how well they could."""
    rho, ceiling = found.pooled, found.ceiling.rho
    if rho.rho is None:
        return f"Spearman's ρ needs at least 4 that differ; {rho.n} could be ranked."
    told = (
        f"Spearman's ρ is {decimal(rho.rho, 2)}, 95 % interval {decimal(rho.low, 2)} to"
        f" {decimal(rho.high, 2)}, n = {rho.n}"
    )
    return f"{told}; the noise ceiling is {decimal(ceiling, 2)}." if ceiling else f"{told}."


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
            title="What tuning changed",
            svg=plots.tune_loss_plot(cycles),
            caption="Loss on held-out pairs after each cycle's tuning less that before it: below"
            " zero it learned. Purple: the adapter was rolled back.",
        ),
    ]


def _example(attempts: Sequence[Attempt], verdict: Verdict) -> str:
    """Return the first reason given with a verdict, shortened."""
    reasons = (a.reason for a in attempts if a.verdict is verdict and a.reason)
    reason = next(reasons, "")
    return reason if len(reason) <= REASON_LENGTH else reason[: REASON_LENGTH - 1] + "…"
