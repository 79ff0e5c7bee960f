"""Plots the early-stopping step against sparsity, and metrics against width."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gentickets.analysis.rows import Row
from gentickets.analysis.summary import Summary
from gentickets.analysis.text.format import Spread, heading, higher_is_better, metric_name
from gentickets.arms import BUDGET, WIDTH, ArmName
from gentickets.report.plots.marks import draw
from gentickets.report.plots.svg import MUTED, PAPER, TICKET, WIDE, axis_position, logarithmic, styled, to_svg

TRAIN = "#d55e00"
"""The training images' line, in the colour of the first control: a sweep has none."""


def early_stopping(summary: Summary, name: str = "stops") -> str:
    """The early-stopping step against sparsity: dense, ticket and controls; empty without curves."""
    if summary.is_sweep or not any(row.stops for row in summary.own_rows):
        return ""
    with styled():
        figure = Figure(figsize=(9.2, 3.6))
        axes = figure.add_subplot()
        draw(axes, summary, lambda row: row.stops.steps if row.stops else None, seeds=True, higher=False)
        axes.set_yscale("linear")
        axes.set_ylim(
            0, 1.08 * max(row.stops.steps.mean + (row.stops.steps.sd or 0) for row in summary.rows if row.stops)
        )
        axes.set_ylabel("early-stopping step")
        _mark_unstopped(axes, summary)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9.5)
        return to_svg(figure, "Early-stopping step against sparsity", name)


def _mark_unstopped(axes: Axes, summary: Summary) -> None:
    """Arrows up where some trainings were not stopped, so that the mean is at least so much."""
    ticket = {row.round: row.sparsity for row in summary.own_rows}
    shown = [row for row in summary.rows if row.arm != BUDGET and row.arm == ArmName.of(row.arm).base]
    points = [
        (axis_position(ticket.get(row.round, row.sparsity)), row.stops.steps.mean)
        for row in shown
        if row.stops and row.stops.never
    ]
    if points:
        x, y = zip(*points, strict=True)
        axes.scatter(
            x, y, marker="^", s=70, facecolor=PAPER, edgecolor=MUTED, zorder=4, label="at least: not before the end"
        )


def sweep(summary: Summary, name: str = "sweep") -> str:
    """Every metric against width, on test and on the training images; empty where nothing was swept."""
    rows = [row for row in summary.rows if row.arm == WIDTH and row.width]
    figures = [figure for figure in summary.figures if any(figure in row.test for row in rows)]
    if not summary.is_sweep or not figures:
        return ""
    columns = min(3, len(figures))
    lines = math.ceil(len(figures) / columns)
    with styled(font_size=9.0):
        canvas = Figure(figsize=(3.3 * columns if columns > 1 else 6.8, 2.6 * lines), layout="constrained")
        for place, figure in enumerate(figures):
            axes = canvas.add_subplot(lines, columns, place + 1)
            _against_width(axes, rows, figure)
            axes.set_title(heading(figure))
            axes.set_xlabel(summary.widened)
            if not place:
                axes.legend()
        names = ", ".join(map(metric_name, figures))
        return to_svg(canvas, f"{summary.widened} against {names}", name)


def _against_width(axes: Axes, rows: list[Row], metric: str) -> None:
    splits: tuple[tuple[str, str, str, list[Mapping[str, Spread]]], ...] = (
        ("test", TICKET, "-", [row.test for row in rows]),
        ("training images", TRAIN, "--", [row.train for row in rows]),
    )
    for label, colour, line, figures in splits:
        known = [(row.width or 1, found[metric]) for row, found in zip(rows, figures, strict=True) if metric in found]
        if not known:
            continue
        axes.errorbar(
            [width for width, _ in known],
            [spread.mean for _, spread in known],
            yerr=[spread.sd or 0.0 for _, spread in known],
            color=colour,
            linestyle=line,
            marker="o",
            markersize=5,
            capsize=3,
            label=label,
        )
    shown = [found[metric].mean for _, _, _, figures in splits for found in figures if metric in found]
    if not higher_is_better(metric) and min(shown) > 0 and max(shown) / min(shown) > WIDE:
        logarithmic(axes)
    widths = [row.width or 1 for row in rows]
    # Widths are doubled as a rule: a logarithmic axis spaces them evenly.
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths)
    axes.set_xticklabels([str(width) for width in widths])
    axes.minorticks_off()
