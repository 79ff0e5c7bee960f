"""Plots quality: sparsity against every metric, and the arms that trained longer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from gentickets.analysis.summary import Summary, comparable_groups
from gentickets.analysis.text.format import arm_name, direction, heading, higher_is_better, metric_name, percent
from gentickets.arms import DENSE, ArmName
from gentickets.report.plots.marks import axis_label, draw, marks_of, on_test, style_of
from gentickets.report.plots.svg import INK, MUTED, axis_position, sparsity_axis, styled, styles, to_svg


def quality_plot(summary: Summary, name: str = "quality") -> str:
    """Sparsity against the claim's metric on test: ticket, dense, budget, controls and the claim's level."""
    if summary.is_sweep or summary.metric is None or not any(row.test for row in summary.rows):
        return ""
    with styled():
        figure = Figure(figsize=(9.2, 4.3))
        axes = figure.add_subplot()
        beyond = draw(axes, summary, on_test(summary.metric), seeds=True, higher=higher_is_better(summary.metric))
        axes.set_ylabel(f"{metric_name(summary.metric)} on test ({direction(summary.metric)})")
        if beyond:
            # Beside the axes, where it stands on no mark.
            note = f"a control lies {beyond}\nthis range (see table)"
            axes.annotate(note, (1.015, 1.0), xycoords="axes fraction", va="top", fontsize=8.5, color=MUTED)
        level = summary.verdict.level
        if level is not None:
            axes.axvline(axis_position(level), color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=0.5)
            axes.annotate(
                f"claim: {percent(level)}",
                (axis_position(level), 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                color=MUTED,
            )
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9.5)
        return to_svg(figure, f"Sparsity against {metric_name(summary.metric)}", name)


def other_metrics(summary: Summary, name: str = "further") -> str:
    """Small multiples of the other metrics; empty where there are none."""
    figures = [figure for figure in summary.figures[1:] if sum(figure in row.test for row in summary.rows) > 1]
    if summary.is_sweep or not figures:
        return ""
    columns = min(3, len(figures))
    lines = math.ceil(len(figures) / columns)
    with styled(font_size=9.0):
        canvas = Figure(figsize=(3.25 * columns, 2.4 * lines), layout="constrained")
        for place, figure in enumerate(figures):
            axes = canvas.add_subplot(lines, columns, place + 1)
            beyond = draw(axes, summary, on_test(figure), seeds=False, higher=higher_is_better(figure))
            axes.set_title(heading(figure) + (f" (a control lies {beyond})" if beyond else ""))
            axes.set_xlabel(axis_label(summary))
            axes.set_xticks(axes.get_xticks()[::2])
        return to_svg(canvas, "Other metrics against sparsity", name)


def when_longer(summary: Summary, name: str = "longer") -> str:
    """Dense, ticket and controls at the recipe's steps and trained longer; empty without longer arms."""
    metric, level = summary.metric, summary.verdict.round
    pairs = []
    for row in summary.rows:
        if not (own := ArmName.of(row.arm)).longer:
            continue
        arm = str(own.of_length(longer=False))
        short = summary.row(arm) if own.base == DENSE else summary.row(arm, level)
        if metric is not None and short is not None and metric in short.test and metric in row.test:
            pairs.append((arm, short, row))
    if metric is None or not pairs:
        return ""
    with styled():
        figure = Figure(figsize=(7.2, 3.6))
        axes = figure.add_subplot()
        marks = marks_of(summary)
        for arm, short, long in pairs:
            colour, marker, line = style_of(arm, marks)
            spreads = short.test[metric], long.test[metric]
            axes.errorbar(
                (0, 1),
                [spread.mean for spread in spreads],
                yerr=[spread.sd or 0.0 for spread in spreads],
                color=colour,
                marker=marker,
                linestyle=line,
                capsize=3,
                label=arm_name(arm),
            )
        axes.set_xticks((0, 1))
        axes.set_xticklabels((f"{pairs[0][1].steps:,} steps", f"{pairs[0][2].steps:,} steps"))
        axes.set_xlim(-0.2, 1.2)
        axes.set_ylabel(f"{metric_name(metric)} on test ({direction(metric)})")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return to_svg(figure, "Equal short steps against longer training", name)


def comparison_plot(summaries: Sequence[Summary], name: str = "comparison") -> str:
    """Tickets of several runs: by how much each is worse than its own dense model, in percent, against sparsity.

    A panel for each metric and way of measuring it: others are not comparable. Runs whose rounds go on from trained
    weights are left out: they have more steps behind them than dense.
    """
    looks = styles([f"run {place}" for place in range(len(summaries))])
    marks = {id(summary): looks[f"run {place}"] for place, summary in enumerate(summaries)}
    groups = [[one for one in group if _relative(one)] for group in comparable_groups(summaries)]
    groups = [group for group in groups if group]
    if not groups:
        return ""
    with styled():
        figure = Figure(figsize=(9.2, 0.6 + 3.4 * len(groups)), layout="constrained")
        for place, group in enumerate(groups):
            axes = figure.add_subplot(len(groups), 1, place + 1)
            axes.axhline(0, color=INK, linewidth=1.2)
            for summary in group:
                shown = _relative(summary)
                colour, marker = marks[id(summary)]
                axes.errorbar(
                    [axis_position(sparsity) for sparsity, _, _ in shown],
                    [share for _, share, _ in shown],
                    yerr=[error for _, _, error in shown],
                    color=colour,
                    marker=marker,
                    markersize=5,
                    capsize=2,
                    label=summary.name,
                )
            what = "weights removed (%)" if any(one.of_channels for one in group) else "sparsity (%)"
            sparsity_axis(axes, {sparsity for summary in group for sparsity, _, _ in _relative(summary)}, what)
            axes.set_title(metric_name(str(group[0].metric)))
            axes.set_ylabel("worse than dense by (%)")
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return to_svg(figure, "Tickets of several runs against sparsity", name)


def _relative(summary: Summary) -> list[tuple[float, float, float]]:
    """Sparsity, loss against dense and spread of a run's tickets, both in percent of the dense mean.

    Where channels were removed, the removed share of weights stands for a sparsity: that is what compares.
    """
    metric, dense = str(summary.metric), summary.row("dense")
    if dense is None or metric not in dense.test or summary.goes_on:
        return []
    reference, sign = dense.test[metric].mean or math.nan, -1 if higher_is_better(metric) else 1
    return [
        (
            (row.lighter if summary.of_channels else None) or row.sparsity,
            100 * sign * (spread.mean - reference) / abs(reference),
            100 * (spread.sd or 0.0) / abs(reference),
        )
        for row in sorted((row for row in summary.rows if row.arm == "ticket"), key=lambda row: row.round)
        if (spread := row.test.get(metric)) is not None
    ]
