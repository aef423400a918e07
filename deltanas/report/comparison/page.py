"""What a comparison shows: a table on the terminal, and one HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from deltanas.records import FinishedRun, LostRun
from deltanas.report.comparison import curves, plots
from deltanas.report.comparison.cells import Cell, Table
from deltanas.report.comparison.cross_table import cross_tables
from deltanas.report.comparison.grouping import common, labels
from deltanas.report.comparison.groups import Group
from deltanas.report.comparison.paired import (
    MEASURES,
    Pairing,
    findings,
    paired_table,
    pairings,
)
from deltanas.report.comparison.paper import caveats
from deltanas.report.comparison.tables import tables
from deltanas.report.console import say
from deltanas.report.pages import Plot, render
from deltanas.report.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable


@dataclass(frozen=True, slots=True, kw_only=True)
class _ListedRun:
    """One finished run in the list of the page."""

    group: str
    run: FinishedRun
    place: str
    link: str  # to its report, from the page; empty where there is none
    repeated: bool


def comparison_page(groups: Sequence[Group], lost: Sequence[LostRun], folder: Path) -> str:
    """Return the page of a comparison, whose links start from the folder it will lie in."""
    return render("comparison/page.html.j2", _context(groups, lost, folder))


def _context(groups: Sequence[Group], lost: Sequence[LostRun], folder: Path) -> dict[str, object]:
    keys = [group.key for group in groups]
    paired = pairings(groups)
    contents = [("found", "What was found"), ("lost", "Runs without figures")][: 1 + bool(lost)]
    if groups:
        contents += [("groups", "Groups"), ("cycles", "Over the cycles"), ("runs", "Runs")]
    return {
        "contents": contents,
        "findings": findings(groups, paired),
        "paired": paired_table(paired),
        "found_plots": [
            plot for plot in (_difference_plot(paired), *_best_plots(groups)) if plot.svg
        ],
        "facts": {
            "finished runs": sum(len(group.runs) + len(group.repeats) for group in groups),
            "groups": len(groups),
            "without figures": len(lost),
            **common(keys),
        },
        "tables": tables(groups) if groups else [],
        "cross_tables": cross_tables(groups),
        "caveats": caveats(keys),
        "group_plots": _group_plots(groups),
        "curves": _curves(groups),
        "runs": _listed(groups, folder),
        "lost": [(run, _place(run.directory, folder)) for run in lost],
    }


def _difference_plot(paired: Sequence[Pairing]) -> Plot:
    measured = [m for m in MEASURES if any(pairing.differences[m.key] for pairing in paired)]
    title = measured[0].sentence if measured else ""
    return Plot(
        title=f"Difference in the {title}",
        svg=plots.differences_plot(paired, measured[0].key) if measured else None,
        caption="Percentage points against the reference, paired over seeds; the bar is Student's"
        " 95 % interval.",
    )


def _best_plots(groups: Sequence[Group]) -> list[Plot]:
    panels = curves.panels(groups)
    names = labels([members[0].key for members in panels]) if len(panels) > 1 else [""]
    return [
        Plot(
            title=f"Best so far against attempts{f': {name}' if name else ''}",
            svg=curves.best_curves(members, f"best-{i}"),
            caption="Validation split after one epoch, on the seed of each search: the best of"
            " many such figures is noise for a good part. Mean over seeds, and their range.",
        )
        for i, (name, members) in enumerate(zip(names, panels, strict=False))
    ]


def _group_plots(groups: Sequence[Group]) -> list[Plot]:
    return [
        Plot(
            title="Valid rate",
            svg=plots.valid_rates_plot(groups),
            caption="Of the attempts of all seeds; the bar is Wilson's 95 % interval. Small dots"
            " are seeds.",
        ),
        Plot(
            title="First-epoch accuracy",
            svg=plots.accuracies_plot(groups),
            caption="Test split after one epoch, valid candidates; the bar is the range of seeds.",
        ),
    ]


def _curves(groups: Sequence[Group]) -> list[list[Plot]]:
    """Return one pair of plots for each LLM, dataset, archive and protocol."""
    panels = curves.panels(groups)
    names = labels([members[0].key for members in panels]) if len(panels) > 1 else [""]
    found = []
    for i, (name, members) in enumerate(zip(names, panels, strict=False)):
        where = f": {name}" if name else ""
        left_out = len(members) - curves.CURVES
        rest = f" {left_out} more groups are left out." if left_out > 0 else ""
        caption = f"Mean over seeds by cycle; the band is the range of seeds.{rest}"
        valid, accuracy = (
            curves.valid_curves(members, f"valid-{i}"),
            curves.accuracy_curves(members, f"accuracy-{i}"),
        )
        found.append(
            [
                Plot(title=f"Valid rate{where}", svg=valid, caption=caption),
                Plot(title=f"First-epoch accuracy{where}", svg=accuracy, caption=caption),
            ]
        )
    return found


def _listed(groups: Sequence[Group], folder: Path) -> list[_ListedRun]:
    names = labels([group.key for group in groups])
    return [
        _ListedRun(
            group=name,
            run=run,
            place=_place(run.directory, folder),
            link=_link(run, folder),
            repeated=run in group.repeats,
        )
        for name, group in zip(names, groups, strict=True)
        for run in (*group.runs, *group.repeats)
    ]


def _place(directory: Path, folder: Path) -> str:
    """Return a run's path as seen from beside the folder of the page: `sweep/3`."""
    beside = folder.resolve().parent
    path = directory.resolve()
    return path.relative_to(beside).as_posix() if path.is_relative_to(beside) else str(path)


def _link(run: FinishedRun, folder: Path) -> str:
    """Return the way from the folder of the page to the run's, as both were named.

    A browser takes `..` away from names as they are, not from where symbolic links lead: across
    such a link the way starts at the root.
    """
    report = run.directory / "report.html"
    if not report.is_file():
        return ""
    way = os.path.relpath(report.absolute(), folder.absolute())
    if (folder.absolute() / way).exists() and not _leaves(folder, way):
        return quote(Path(way).as_posix())
    return report.absolute().as_uri()


def _leaves(folder: Path, way: str) -> bool:
    """Tell whether a way with `..` in it crosses a symbolic link."""
    return ".." in Path(way).parts and folder.absolute() != folder.resolve()


def print_comparison(groups: Sequence[Group], lost: Sequence[LostRun], console: Console) -> None:
    """Print what was found, the tables, what keeps the paper's apart, and runs without figures."""
    from rich.text import Text

    paired = pairings(groups)
    for sentence in findings(groups, paired):
        console.print(Text(sentence))
    for table in [
        *paired_table(paired),
        *(tables(groups) if groups else []),
        *cross_tables(groups),
    ]:
        console.print(Text(f"\n{table.title}", style="bold"))
        console.print(Text(table.caption, style="dim"))
        print_table(_rich(table), console)
    shared = ", ".join(
        f"{name} {value}" for name, value in common([g.key for g in groups]).items()
    )
    if shared:
        console.print(Text(f"\nAll groups: {shared}", style="dim"))
    for note in caveats([group.key for group in groups]):
        console.print(Text(f"* {note}", style="dim"))
    for run in lost:
        say(console, f"\n{run.state.value}  {run.directory}")
        say(console, f"  {_known(run)}")


def _known(run: LostRun) -> str:
    """Return in one line what is known of a run without figures."""
    rows = f"{run.attempted} attempts so far, {run.valid} valid"
    overrides = " ".join(run.overrides) or "not recorded"
    return f"{run.reason}; {rows}; overrides: {overrides}"


def _rich(table: Table) -> RichTable:
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = [i for i, head in enumerate(table.heads) if not head.wide]
    view = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in (table.heads[i] for i in shown):
        if head.left:
            view.add_column(head.title, overflow="fold")
        else:
            view.add_column(head.title, justify="right", overflow="fold")
    for row in table.rows:
        texts = [_text(row.cells[i], table.notes_on_terminal) for i in shown]
        view.add_row(*map(Text, texts), style="dim" if row.paper else None)
    return view


def _text(cell: Cell, notes: bool) -> str:
    return f"{cell.text} ({cell.note})" if cell.note and notes else cell.text
