"""Plots of quality: sparsity against every figure of merit, and the arms that trained longer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gentickets.report.drawing import BUDGET, INK, MUTED, TICKET, sparsity_axis, styled, styles, to_svg, where
from gentickets.report.summary import Row, Summary
from gentickets.report.words import LONGER, SCALED, Spread, arm_name, base_arm, figure_name, percent

Point = tuple[float, Spread]
"""Sparsity, and the figure there."""


def quality(summary: Summary, name: str = "quality") -> str:
    """Sparsity against the claim's metric on test: ticket, dense, budget, controls and the claim's level."""
    if summary.metric is None or not any(row.test for row in summary.rows):
        return ""
    with styled():
        figure = Figure(figsize=(9.2, 4.3))
        axes = figure.add_subplot()
        beyond = _draw(axes, summary, summary.metric, seeds=True)
        lower = "" if summary.metric == "kl" else " (lower is better)"
        axes.set_ylabel(f"{figure_name(summary.metric)} on test{lower}")
        if beyond:
            # Beside the axes, where it stands on no mark.
            note = "a control lies above\nthis range (see table)"
            axes.annotate(note, (1.015, 1.0), xycoords="axes fraction", va="top", fontsize=8.5, color=MUTED)
        level = summary.verdict.level
        if level is not None:
            axes.axvline(where(level), color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=0.5)
            axes.annotate(
                f"claim: {percent(level)}",
                (where(level), 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                color=MUTED,
            )
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9.5)
        return to_svg(figure, f"Sparsity against {figure_name(summary.metric)}", name)


def further(summary: Summary, name: str = "further") -> str:
    """Small multiples of the other figures of merit; empty where there are none."""
    figures = [figure for figure in summary.figures[1:] if sum(figure in row.test for row in summary.rows) > 1]
    if not figures:
        return ""
    columns = min(3, len(figures))
    lines = math.ceil(len(figures) / columns)
    with styled(font_size=9.0):
        canvas = Figure(figsize=(3.25 * columns, 2.4 * lines), layout="constrained")
        for place, figure in enumerate(figures):
            axes = canvas.add_subplot(lines, columns, place + 1)
            beyond = _draw(axes, summary, figure, seeds=False)
            axes.set_title(figure_name(figure) + (" (a control lies above)" if beyond else ""))
            axes.set_xlabel("sparsity (%)")
            axes.set_xticks(axes.get_xticks()[::2])
        return to_svg(canvas, "Further figures against sparsity", name)


def when_longer(summary: Summary, name: str = "longer") -> str:
    """Dense, ticket and controls at the recipe's steps and trained longer; empty without longer arms."""
    metric, level = summary.metric, summary.verdict.round
    pairs = []
    for row in summary.rows:
        if not row.arm.endswith(LONGER):
            continue
        arm = row.arm.removesuffix(LONGER)
        short = summary.row("dense") if arm == "dense" else summary.row(arm, level)
        if metric is not None and short is not None and metric in short.test and metric in row.test:
            pairs.append((arm, short, row))
    if metric is None or not pairs:
        return ""
    with styled():
        figure = Figure(figsize=(7.2, 3.6))
        axes = figure.add_subplot()
        marks = styles([row.arm for row in summary.rows if _is_control(row)])
        for arm, short, long in pairs:
            colour, marker, line = _look(arm, marks)
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
        axes.set_ylabel(f"{figure_name(metric)} on test")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return to_svg(figure, "Equal short steps against longer training", name)


def comparison(summaries: Sequence[Summary], name: str = "comparison") -> str:
    """Tickets of several runs: difference to each run's own dense model, in percent, against sparsity.

    Runs whose rounds go on from trained weights are left out: they have more steps behind them than dense.
    """
    with styled():
        figure = Figure(figsize=(9.2, 4.0))
        axes = figure.add_subplot()
        axes.axhline(0, color=INK, linewidth=1.2)
        looks = styles([f"run {place}" for place in range(len(summaries))])
        sparsities: set[float] = set()
        for place, summary in enumerate(summaries):
            metric, dense = str(summary.metric), summary.row("dense")
            points = _points(summary, "ticket", metric)
            if dense is None or metric not in dense.test or not points or summary.goes_on:
                continue
            reference = dense.test[metric].mean or math.nan
            colour, marker = looks[f"run {place}"]
            shares = [100 * (spread.mean - reference) / abs(reference) for _, spread in points]
            errors = [100 * (spread.sd or 0.0) / abs(reference) for _, spread in points]
            axes.errorbar(
                [where(sparsity) for sparsity, _ in points],
                shares,
                yerr=errors,
                color=colour,
                marker=marker,
                markersize=5,
                capsize=2,
                label=f"{summary.name} ({figure_name(metric)})",
            )
            sparsities |= {sparsity for sparsity, _ in points}
        if not sparsities:
            return ""
        sparsity_axis(axes, sparsities)
        axes.set_ylabel("ticket against its dense model (%)")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
        return to_svg(figure, "Tickets of several runs against sparsity", name)


def _draw(axes: Axes, summary: Summary, metric: str, seeds: bool) -> bool:
    """Every arm's figure against sparsity, with the spread over seeds; whether a control is off the top."""
    dense, budget = summary.row("dense"), summary.row("budget")
    seen: list[float] = []
    rounds = {row.round: row.sparsity for row in summary.rows if row.arm in ("dense", "ticket")}
    if dense is not None and metric in dense.test:
        seen += _band(axes, dense.test[metric], INK, "-", "dense")
    if budget is not None and metric in budget.test:
        seen += _band(axes, budget.test[metric], BUDGET, "--", arm_name("budget"))
    ticket = _points(summary, "ticket", metric)
    if ticket:
        seen += _line(axes, ticket, seeds)
    controls = [row.arm for row in summary.rows if _is_control(row) and not row.arm.endswith(LONGER)]
    marks, worst = styles(controls), []
    for arm in dict.fromkeys(controls):
        points = [(rounds.get(row.round, row.sparsity), row.test[metric]) for row in _rows(summary, arm, metric)]
        if points:
            worst += _control(axes, arm, points, marks)
    sparsity_axis(axes, rounds.values())
    return _limits(axes, seen, worst)


def _band(axes: Axes, spread: Spread, colour: str, line: str, label: str) -> list[float]:
    sd = spread.sd or 0.0
    axes.axhline(spread.mean, color=colour, linewidth=1.5, linestyle=line, label=label, zorder=1.5)
    if sd:
        axes.axhspan(spread.mean - sd, spread.mean + sd, color=colour, alpha=0.12, linewidth=0)
    return [spread.mean - sd, spread.mean + sd]


def _line(axes: Axes, points: Sequence[Point], seeds: bool) -> list[float]:
    """The ticket: mean with a band of one sd, and each seed faintly."""
    places = [where(sparsity) for sparsity, _ in points]
    means = [spread.mean for _, spread in points]
    low = [spread.mean - (spread.sd or 0.0) for _, spread in points]
    high = [spread.mean + (spread.sd or 0.0) for _, spread in points]
    axes.fill_between(places, low, high, color=TICKET, alpha=0.18, linewidth=0)
    if seeds:
        for seed in sorted({seed for _, spread in points for seed in spread.values}):
            own = [(where(sparsity), spread.values[seed]) for sparsity, spread in points if seed in spread.values]
            axes.plot(*zip(*own, strict=True), color=TICKET, alpha=0.35, linewidth=0.8)
    axes.plot(places, means, color=TICKET, linewidth=2.2, marker="o", markersize=5, label="ticket", zorder=3)
    return [*low, *high]


def _control(axes: Axes, arm: str, points: Sequence[Point], marks: Mapping[str, tuple[str, str]]) -> list[float]:
    colour, marker, _ = _look(arm, marks)
    # Twins stand a little apart, so that their marks do not hide each other.
    order = list(marks).index(base_arm(arm)) + 1
    shift = 0.012 * order * (1 if arm.endswith(SCALED) else -1)
    axes.errorbar(
        [where(sparsity) + shift for sparsity, _ in points],
        [spread.mean for _, spread in points],
        yerr=[spread.sd or 0.0 for _, spread in points],
        color=colour,
        marker=marker,
        markersize=6,
        markerfacecolor="none" if arm.endswith(SCALED) else colour,
        linewidth=0.9,
        linestyle=":",
        capsize=3,
        label=arm_name(arm),
        zorder=2.5,
    )
    return [spread.mean + (spread.sd or 0.0) for _, spread in points]


def _limits(axes: Axes, seen: Sequence[float], controls: Sequence[float]) -> bool:
    """Room for ticket and dense: a logarithmic axis for wide ranges; far-off controls leave by the top (True)."""
    low, high = min([*seen, *controls], default=0.0), max([*seen, *controls], default=1.0)
    core = max(seen, default=high)
    if low > 0 and core / low > 8:
        axes.set_yscale("log")
        return False
    span = (core - low) or abs(low) * 0.1 or 1.0
    top = min(high, core + 2.0 * span)
    axes.set_ylim(low - 0.12 * span, top + 0.08 * (top - low or span))
    return top < high


def _rows(summary: Summary, arm: str, metric: str) -> list[Row]:
    return sorted((row for row in summary.rows if row.arm == arm and metric in row.test), key=lambda row: row.round)


def _points(summary: Summary, arm: str, metric: str) -> list[Point]:
    return [(row.sparsity, row.test[metric]) for row in _rows(summary, arm, metric)]


def _is_control(row: Row) -> bool:
    return base_arm(row.arm) not in ("dense", "ticket", "budget")


def _look(arm: str, marks: Mapping[str, tuple[str, str]]) -> tuple[str, str, str]:
    """Colour, marker and line of an arm."""
    if arm in ("dense", "ticket"):
        return (INK, "o", "-") if arm == "dense" else (TICKET, "o", "-")
    colour, marker = marks[base_arm(arm)]
    return colour, marker, "--" if arm.endswith(SCALED) else ":"
