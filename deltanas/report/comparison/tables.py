"""The tables of a comparison: validity, accuracy, length and cost of groups, and of the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from deltanas.report.comparison.cells import (
    BLANK,
    Cell,
    Head,
    Table,
    TableRow,
    between,
    figure,
    one,
    over_seeds,
    points,
    rate,
    t_interval,
    three,
    two,
    whole,
)
from deltanas.report.comparison.grouping import labels, reductions, whole_networks
from deltanas.report.comparison.groups import Group
from deltanas.report.comparison.paper import PaperRow, paper_row
from deltanas.report.formats import count
from deltanas.report.metrics import wilson_interval


@dataclass(frozen=True, slots=True)
class _Column:
    """One column: its head, our cell and the paper's."""

    title: str
    ours: Callable[[Group], Cell]
    theirs: Callable[[PaperRow], Cell] = lambda paper: Cell(BLANK)
    wide: bool = False


def tables(groups: Sequence[Group]) -> list[Table]:
    """Return the five tables of the groups, with the paper's rows where it has one."""
    validity, accuracy = _INDEPENDENT + _T_INTERVAL, _BEST + _T_INTERVAL
    parts = (
        ("What was found", _FOUND_CAPTION, _EPOCHS, _FOUND),
        ("Validity", _VALIDITY_CAPTION, validity, _VALIDITY),
        ("Accuracy and ranking", _ACCURACY_CAPTION, accuracy, _ACCURACY),
        ("Length", _LENGTH_CAPTION, _WHOLE, _length(groups)),
        ("Cost of one run", _COST_CAPTION, "", _COST),
    )
    return [
        Table(
            title=title,
            caption=caption,
            wide_caption=wide_caption,
            heads=(
                Head(title="group", left=True),
                *(Head(title=column.title, wide=column.wide) for column in columns),
            ),
            rows=tuple(_rows(columns, groups)),
        )
        for title, caption, wide_caption, columns in parts
    ]


def _rows(columns: Sequence[_Column], groups: Sequence[Group]) -> Iterator[TableRow]:
    """Yield the rows; one of the paper follows the last group that it can stand beside."""
    beside = [paper_row(group.key) for group in groups]
    for i, name in enumerate(labels([group.key for group in groups])):
        ours = (column.ours(groups[i]) for column in columns)
        yield TableRow(cells=(Cell(name), *ours))
        paper = beside[i]
        if paper is not None and paper not in beside[i + 1 :]:
            theirs = (column.theirs(paper) for column in columns)
            yield TableRow(cells=(Cell(f"paper: {paper.name}"), *theirs), paper=True)


def _seed_rates(group: Group) -> Cell:
    """Return the mean of the seeds' valid rates; one seed has no mean over seeds."""
    return Cell(BLANK) if len(group.runs) == 1 else over_seeds(group.spread("valid_rate"), rate)


def _rho(group: Group) -> Cell:
    """Return the mean over seeds with their range, or one seed's with its own interval."""
    spread = group.spread("spearman_rho")
    if spread is None or spread.n > 1:
        return over_seeds(spread, two, " to ")
    low, high = group.mean("spearman_low"), group.mean("spearman_high")
    if low is None or high is None:
        return Cell(two(spread.mean))
    return Cell(two(spread.mean), f"{two(low)} to {two(high)}")


def _improved(group: Group) -> Cell:
    """Return the pooled rate of confirmed improvements with Wilson's interval."""
    improved, n = group.total("confirmed_improved"), group.total("confirmed_n")
    if improved is None or not n:
        return Cell(BLANK)
    return Cell(rate(improved / n), between(*wilson_interval(int(improved), int(n))))


_FOUND_CAPTION = (
    "new: trained networks whose syntax tree neither pool nor run had, of the attempts. improved:"
    " new networks of a sample that beat their parent under every fresh seed, of all seeds, with"
    " Wilson's 95 % interval. best: test accuracy of the best network under fresh seeds, and its"
    " gain over the best baseline. error: 1 - mean test accuracy of the ten best, and of the ten"
    " best baselines. Mean over seeds, and their range."
)
_EPOCHS = " race and confirm: epochs trained besides one for each attempt."
_FOUND = (
    _Column("new, %", lambda g: over_seeds(g.spread("distinct_rate"), rate)),
    _Column("improved, %", _improved),
    _Column("best, %", lambda g: over_seeds(g.spread("confirmed_best_accuracy"), rate)),
    _Column("gain, pp", lambda g: over_seeds(g.spread("confirmed_best_gain"), points, " to ")),
    _Column("error, %", lambda g: over_seeds(g.spread("top10_error"), rate)),
    _Column("baselines", lambda g: over_seeds(g.spread("top10_error_baselines"), rate)),
    _Column("race", lambda g: figure(g.mean("race_epochs"), whole), wide=True),
    _Column("confirm", lambda g: figure(g.mean("confirm_epochs"), whole), wide=True),
)

_T_INTERVAL = " t interval: Student's 95 % interval of the mean over seeds."
_VALIDITY_CAPTION = (
    "rate: valid of the attempts of all seeds, with Wilson's 95 % interval. over seeds: mean of"
    " the seeds' rates, and their range. no infra: infrastructure failures out of the denominator."
    " useful: valid, better than the majority class, and admitted."
)
_INDEPENDENT = " Wilson's interval takes attempts as independent of each other."
_VALIDITY = (
    _Column("seeds", lambda g: Cell(str(len(g.runs))), lambda p: Cell("1")),
    _Column(
        "valid",
        lambda g: Cell(f"{g.valid}/{g.first_attempts}"),
        lambda p: Cell(f"{p.valid}/{p.attempted}" if p.attempted else BLANK),
    ),
    _Column(
        "rate, %",
        lambda g: figure(g.valid_rate, rate, between(*g.valid_interval)),
        lambda p: figure(p.valid_rate, rate, between(*p.valid_interval)),
    ),
    _Column("over seeds, %", _seed_rates),
    _Column("t interval, %", lambda g: t_interval(g.spread("valid_rate")), wide=True),
    _Column("no infra,\n%", lambda g: figure(g.valid_rate_excl_infra, rate)),
    _Column(
        "useful,\n%",
        lambda g: figure(g.useful_rate, rate),
        lambda p: figure(p.useful_rate, rate),
    ),
)

_ACCURACY_CAPTION = (
    "First epoch, test split, valid candidates: mean over seeds, and their range. best: of all"
    " seeds. gain: proxy accuracy over the parent's. ρ: one epoch against full training; for one"
    " seed with its bootstrap interval, for several as mean and range. n: finalists of all seeds."
)
_BEST = " The best accuracy rises with the number of attempts."
_ACCURACY = (
    _Column(
        "mean, %",
        lambda g: over_seeds(g.spread("mean_first_epoch_accuracy"), rate),
        lambda p: figure(p.mean_accuracy, rate),
    ),
    _Column(
        "t interval, %", lambda g: t_interval(g.spread("mean_first_epoch_accuracy")), wide=True
    ),
    _Column(
        "best, %",
        lambda g: figure(g.best_accuracy, rate),
        lambda p: figure(p.best_cifar10, rate, "CIFAR-10"),
    ),
    _Column("gain, pp", lambda g: over_seeds(g.spread("mean_gain"), points, " to ")),
    _Column("ρ", _rho, lambda p: figure(p.spearman_rho, three)),
    _Column(
        "n",
        lambda g: figure(g.total("spearman_n"), whole),
        lambda p: figure(p.spearman_n, whole),
    ),
)

_LENGTH_CAPTION = (
    "Deltas: mean over seeds, and their range. saved: against the whole networks that the deltas"
    " stand for. vs full: against runs of ablation=full_generation with the same LLM and dataset,"
    " lines written and tokens written for an attempt."
)
_WHOLE = " whole: mean lines of the networks that the deltas stand for, or that were written."


def _length(groups: Sequence[Group]) -> tuple[_Column, ...]:
    def on_full(group: Group) -> tuple[float | None, float | None]:
        return reductions(group, whole_networks(group, groups))

    return (
        _Column(
            "lines",
            lambda g: over_seeds(g.spread("mean_delta_lines"), one),
            lambda p: figure(p.delta_lines, one),
        ),
        _Column("tokens", lambda g: over_seeds(g.spread("mean_delta_tokens"), whole)),
        _Column(
            "whole, lines",
            lambda g: figure(g.mean("mean_full_lines"), one),
            lambda p: Cell("200+"),
            wide=True,
        ),
        _Column("saved\nlines, %", lambda g: figure(g.mean("reduction_lines"), rate)),
        _Column("saved\ntokens, %", lambda g: figure(g.mean("reduction_tokens"), rate)),
        _Column(
            "vs full\nlines, %",
            lambda g: figure(on_full(g)[0], rate),
            lambda p: figure(p.reduction_lines, rate),
        ),
        _Column("vs full\ntokens, %", lambda g: figure(on_full(g)[1], rate)),
    )


_COST_CAPTION = (
    "Means over seeds; wall time with their range. s/valid: wall seconds of all seeds for each of"
    " their valid candidates."
)
_COST = (
    _Column(
        "attempts",
        lambda g: Cell(whole(g.attempted / len(g.runs))),
        lambda p: figure(p.attempted, whole),
    ),
    _Column("prompt\ntokens", lambda g: figure(g.mean("prompt_tokens"), count)),
    _Column("written\ntokens", lambda g: figure(g.mean("output_tokens"), count)),
    _Column(
        "wall, s",
        lambda g: over_seeds(g.spread("wall_seconds"), count),
        lambda p: Cell("{}–{} h".format(*p.gpu_hours) if p.gpu_hours else BLANK),
    ),
    _Column("generate, s", lambda g: figure(g.mean("seconds_generate"), count), wide=True),
    _Column("evaluate, s", lambda g: figure(g.mean("seconds_evaluate"), count), wide=True),
    _Column("tune, s", lambda g: figure(g.mean("seconds_tune"), count), wide=True),
    _Column("s/valid", lambda g: figure(g.seconds_per_valid, one)),
)
