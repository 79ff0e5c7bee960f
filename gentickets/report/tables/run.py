"""Builds the tables of a run as rows of strings: for a terminal, and with every metric for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

from gentickets.analysis.results import Split
from gentickets.analysis.rows import Row
from gentickets.analysis.summary import Summary
from gentickets.analysis.text.format import (
    DASH,
    Spread,
    decimals,
    difference,
    fixed,
    heading,
    listed,
    metric_name,
    percent,
    plus_minus,
)
from gentickets.arms import DENSE, ArmName, kind_of
from gentickets.sparsity import removed_of_all
from gentickets.table import Column, Table

MINIMUM, MAXIMUM = "minimum", "maximum"
MINUS_DENSE, INTERVAL, BOOTSTRAP = "minus dense", "95 % interval", "95 % bootstrap"
AHEAD = "ahead of dense"
SPARE = (MINIMUM, MAXIMUM, BOOTSTRAP, AHEAD, INTERVAL, MINUS_DENSE)
"""Columns that a narrow terminal can do without."""


def table(summary: Summary, split: Split = "test", most: int | None = None) -> Table:
    """Header and rows of strings: sparsity, the metric with sd and n, minimum and maximum over seeds, the difference to
    dense with its interval and the seeds that are ahead, other figures, notes.

    Of a width sweep: width, weights, each figure on test and on the training images. With `most` no more columns of
    figures than so many.
    """
    if summary.is_sweep:
        return _sweep(summary, most if most is None else max(1, most // 2))
    columns = [_first(summary), *_ticket_columns(summary, split, most)]
    return _joined(summary, columns)


def full_table(summary: Summary) -> Table:
    """The same rows with every figure as mean ± sd (n), on test and, where there is any, on the training images."""
    if summary.is_sweep:
        return _sweep(summary, None)
    return _joined(
        summary, [_first(summary), _sizes(summary), *_of_all(summary), *_both_splits(summary, summary.figures)]
    )


def _joined(summary: Summary, columns: list[Column]) -> Table:
    columns = [*columns, *_stops(summary), ("notes", [", ".join(row_notes(row)) for row in summary.rows])]
    return Table.of(columns, spare=(*SPARE, *summary.secondary), more="more metrics: report.html")


def _first(summary: Summary) -> Column:
    return "arm", [row.name for row in summary.rows]


def _sizes(summary: Summary) -> Column:
    heading = "channels removed" if summary.of_channels else "sparsity"
    return heading, [size(summary, row) for row in summary.rows]


def _of_all(summary: Summary) -> Iterator[Column]:
    """The removed share of all parameters, where a sparsity is one of too few of them."""
    if summary.partial:
        removed = [removed_of_all(row.weights) if row.sparsity else None for row in summary.rows]
        yield "of all parameters", [percent(share) if share is not None else DASH for share in removed]


def _ticket_columns(summary: Summary, split: Split, most: int | None) -> Iterator[Column]:
    yield _sizes(summary)
    yield from _of_all(summary)
    for place, figure in enumerate(summary.figures[:most]):
        spreads = [_split(row, split).get(figure) for row in summary.rows]
        digits = decimals(spreads)
        if place:
            yield heading(figure), [fixed(spread.mean, digits) if spread else DASH for spread in spreads]
            continue
        yield f"{heading(figure)} ± sd (n)", [_counted(spread, digits) for spread in spreads]
        if not summary.goes_on:
            yield "to dense", [to_dense(summary, row, figure, split) for row in summary.rows]
        yield from _ends(spreads, digits)
        if split == "test":
            yield from _differences(summary, digits)


def _ends(spreads: Sequence[Spread | None], digits: int) -> Iterator[Column]:
    """The smallest and the largest value of a seed, where there are several."""
    if any(spread is not None and spread.n > 1 for spread in spreads):
        yield MINIMUM, [fixed(spread.minimum, digits) if spread else DASH for spread in spreads]
        yield MAXIMUM, [fixed(spread.maximum, digits) if spread else DASH for spread in spreads]


def _differences(summary: Summary, digits: int) -> Iterator[Column]:
    """Paired differences from dense with their intervals, where there are several seeds."""
    found = [row.difference for row in summary.rows]
    if not any(one is not None and one.n > 1 for one in found):
        return
    yield MINUS_DENSE, [DASH if one is None else fixed(one.mean, digits) for one in found]
    yield INTERVAL, [DASH if one is None else _interval(one.low, one.high, digits) for one in found]
    if any(one is not None and one.bootstrap for one in found):
        ends = [None if one is None else one.bootstrap for one in found]
        yield BOOTSTRAP, [DASH if both is None else _interval(*both, digits) for both in ends]
    yield AHEAD, [DASH if one is None else f"{one.ahead} of {one.n}" for one in found]


def _interval(low: float, high: float, digits: int) -> str:
    return f"{fixed(low, digits)} to {fixed(high, digits)}" if isfinite(low) and isfinite(high) else DASH


def _sweep(summary: Summary, most: int | None) -> Table:
    weights = [f"{row.weights['all']:,}" if "all" in row.weights else DASH for row in summary.rows]
    widths = [str(row.width) if row.width else DASH for row in summary.rows]
    return _joined(summary, [(summary.widened, widths), ("weights", weights),
                             *_both_splits(summary, summary.figures[:most])])  # fmt: skip


def _both_splits(summary: Summary, figures: tuple[str, ...]) -> Iterator[Column]:
    splits: tuple[Split, ...] = ("test", "train") if any(row.train for row in summary.rows) else ("test",)
    for figure in figures:
        # One precision for both, so that they read as the same thing.
        digits = decimals(_split(row, split).get(figure) for split in splits for row in summary.rows)
        for split in splits:
            spreads = [_split(row, split).get(figure) for row in summary.rows]
            yield f"{heading(figure)} on {split}", [_counted(spread, digits) for spread in spreads]
        if figure == summary.figures[0]:
            yield from _ends([row.test.get(figure) for row in summary.rows], digits)
            yield from _differences(summary, digits)


def _stops(summary: Summary) -> Iterator[Column]:
    if any(row.stops for row in summary.rows):
        yield "stops at", [row.stops.text if row.stops else DASH for row in summary.rows]


def _counted(spread: Spread | None, digits: int) -> str:
    return f"{plus_minus(spread, digits)} ({spread.n})" if spread else DASH


def _split(row: Row, split: Split) -> Mapping[str, Spread]:
    return {"test": row.test, "valid": row.valid, "train": row.train}[split]


def size(summary: Summary, row: Row) -> str:
    """The row's sparsity; a narrow model has none of its own, but is as small as the ticket of its round.

    Weights that were transferred without their mask have none either, and stand beside a ticket.
    """
    ticket = summary.row("ticket", row.round)
    kind = kind_of(row.arm)
    if kind.of_transfer and not row.sparsity:
        return f"{percent(0.0)} (at {percent(ticket.sparsity)})" if ticket else percent(0.0)
    if not kind.narrower:
        return percent(row.sparsity)
    return f"as {percent(ticket.sparsity)}" if ticket else DASH


def to_dense(summary: Summary, row: Row, metric: str, split: Split = "test") -> str:
    """The difference to dense in percent; the longer arms are compared with the longer dense run."""
    name = ArmName(DENSE, longer=ArmName.of(row.arm).longer)
    dense = summary.row(str(name)) or summary.row(DENSE)
    spread, reference = _split(row, split).get(metric), _split(dense, split).get(metric) if dense else None
    if spread is None or reference is None or row is dense:
        return DASH
    return difference(spread.mean, reference.mean)


def row_notes(row: Row) -> list[str]:
    """What a reader must know beside a row's numbers, a few words each."""
    marks = [
        "claim" if row.at_level and row.arm == "ticket" else "",
        "compute-matched" if row.honest or kind_of(row.arm).whole else "",
        f"width {row.width}" if kind_of(row.arm).equal and row.width else "",
        f"{row.collapsed} collapsed" if row.collapsed else "",
        f"{row.failed} failed" if row.failed else "",
        f"{row.diverged} diverged" if row.diverged else "",
        f"{row.not_run} not run" if row.not_run else "",
        f"{row.stops.never} of {row.stops.steps.n} not before the end" if row.stops and row.stops.never else "",
        *(f"{group} {percent(share)} tied at the cut" for group, share in row.tied.items()),
        f"{listed([metric_name(figure) for figure in row.apart])} measured in another way" if row.apart else "",
    ]
    return [mark for mark in marks if mark]
