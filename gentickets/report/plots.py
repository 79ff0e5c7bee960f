"""Plots of quality: sparsity against every figure of merit, and the arms that trained longer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gentickets.report.drawing import (
    BUDGET,
    INK,
    MUTED,
    TICKET,
    WIDE,
    logarithmic,
    sparsity_axis,
    styled,
    styles,
    to_svg,
    where,
)
from gentickets.report.summary import Row, Summary, alike
from gentickets.report.words import (
    LONGER,
    SCALED,
    Spread,
    arm_name,
    base_arm,
    direction,
    figure_name,
    heading,
    is_higher,
    percent,
)

Point = tuple[float, Spread]
"""Sparsity, and the figure there."""
Pick = Callable[[Row], Spread | None]
"""What a plot shows of a row."""


def on_test(figure: str) -> Pick:
    """A row's figure on the test split."""
    return lambda row: row.test.get(figure)


def quality(summary: Summary, name: str = "quality") -> str:
    """Sparsity against the claim's metric on test: ticket, dense, budget, controls and the claim's level."""
    if summary.is_sweep or summary.metric is None or not any(row.test for row in summary.rows):
        return ""
    with styled():
        figure = Figure(figsize=(9.2, 4.3))
        axes = figure.add_subplot()
        beyond = draw(axes, summary, on_test(summary.metric), seeds=True, higher=is_higher(summary.metric))
        axes.set_ylabel(f"{figure_name(summary.metric)} on test ({direction(summary.metric)})")
        if beyond:
            # Beside the axes, where it stands on no mark.
            note = f"a control lies {beyond}\nthis range (see table)"
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
    """Small multiples of the other figures; empty where there are none."""
    figures = [figure for figure in summary.figures[1:] if sum(figure in row.test for row in summary.rows) > 1]
    if summary.is_sweep or not figures:
        return ""
    columns = min(3, len(figures))
    lines = math.ceil(len(figures) / columns)
    with styled(font_size=9.0):
        canvas = Figure(figsize=(3.25 * columns, 2.4 * lines), layout="constrained")
        for place, figure in enumerate(figures):
            axes = canvas.add_subplot(lines, columns, place + 1)
            beyond = draw(axes, summary, on_test(figure), seeds=False, higher=is_higher(figure))
            axes.set_title(heading(figure) + (f" (a control lies {beyond})" if beyond else ""))
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
        axes.set_ylabel(f"{figure_name(metric)} on test ({direction(metric)})")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return to_svg(figure, "Equal short steps against longer training", name)


def comparison(summaries: Sequence[Summary], name: str = "comparison") -> str:
    """Tickets of several runs: by how much each is worse than its own dense model, in percent, against sparsity.

    A panel for each figure and way of measuring it: others do not compare. Runs whose rounds go on from trained
    weights are left out: they have more steps behind them than dense.
    """
    looks = styles([f"run {place}" for place in range(len(summaries))])
    marks = {id(summary): looks[f"run {place}"] for place, summary in enumerate(summaries)}
    groups = [[one for one in group if _relative(one)] for group in alike(summaries)]
    groups = [group for group in groups if group]
    if not groups:
        return ""
    with styled():
        figure = Figure(figsize=(9.2, 0.6 + 3.4 * len(groups)), layout="constrained")
        for place, group in enumerate(groups):
            axes = figure.add_subplot(len(groups), 1, place + 1)
            axes.axhline(0, color=INK, linewidth=1.2)
            for summary in group:
                points = _relative(summary)
                colour, marker = marks[id(summary)]
                axes.errorbar(
                    [where(sparsity) for sparsity, _, _ in points],
                    [share for _, share, _ in points],
                    yerr=[error for _, _, error in points],
                    color=colour,
                    marker=marker,
                    markersize=5,
                    capsize=2,
                    label=summary.name,
                )
            sparsity_axis(axes, {sparsity for summary in group for sparsity, _, _ in _relative(summary)})
            axes.set_title(figure_name(str(group[0].metric)))
            axes.set_ylabel("worse than dense by (%)")
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return to_svg(figure, "Tickets of several runs against sparsity", name)


def _relative(summary: Summary) -> list[tuple[float, float, float]]:
    """Sparsity, loss against dense and spread of a run's tickets, both in percent of the dense mean."""
    metric, dense = str(summary.metric), summary.row("dense")
    if dense is None or metric not in dense.test or summary.goes_on:
        return []
    reference, sign = dense.test[metric].mean or math.nan, -1 if is_higher(metric) else 1
    return [
        (
            sparsity,
            100 * sign * (spread.mean - reference) / abs(reference),
            100 * (spread.sd or 0.0) / abs(reference),
        )
        for sparsity, spread in _points(summary, "ticket", on_test(metric))
    ]


def draw(axes: Axes, summary: Summary, pick: Pick, *, seeds: bool, higher: bool) -> str:
    """Every arm against sparsity, with the spread over seeds; ``above`` or ``below`` where a control is off."""
    seen: list[float] = []
    rounds = {row.round: row.sparsity for row in summary.rows if row.arm in ("dense", "ticket")}
    for arm, colour, line in (("dense", INK, "-"), ("budget", BUDGET, "--")):
        row = summary.row(arm)
        if row is not None and (spread := pick(row)) is not None:
            seen += _band(axes, spread, colour, line, arm_name(arm))
    ticket = _points(summary, "ticket", pick)
    if ticket:
        seen += _line(axes, ticket, seeds, dotted=summary.method != "iterative")
    controls = [row.arm for row in summary.rows if _is_control(row) and not row.arm.endswith(LONGER)]
    marks, worst = styles(controls), []
    for arm in dict.fromkeys(controls):
        found = ((row, pick(row)) for row in _rows(summary, arm))
        points = [(rounds.get(row.round, row.sparsity), spread) for row, spread in found if spread is not None]
        if points:
            worst += _control(axes, arm, points, marks)
    sparsity_axis(axes, rounds.values())
    return _limits(axes, seen, worst, higher)


def _band(axes: Axes, spread: Spread, colour: str, line: str, label: str) -> list[float]:
    sd = spread.sd or 0.0
    axes.axhline(spread.mean, color=colour, linewidth=1.5, linestyle=line, label=label, zorder=1.5)
    if sd:
        axes.axhspan(spread.mean - sd, spread.mean + sd, color=colour, alpha=0.12, linewidth=0)
    return [spread.mean - sd, spread.mean + sd]


def _line(axes: Axes, points: Sequence[Point], seeds: bool, dotted: bool) -> list[float]:
    """The ticket: mean with a band of one sd, and each seed faintly; `dotted` where each level stands by itself."""
    places = [where(sparsity) for sparsity, _ in points]
    means = [spread.mean for _, spread in points]
    low = [spread.mean - (spread.sd or 0.0) for _, spread in points]
    high = [spread.mean + (spread.sd or 0.0) for _, spread in points]
    axes.fill_between(places, low, high, color=TICKET, alpha=0.18, linewidth=0)
    if seeds:
        for seed in sorted({seed for _, spread in points for seed in spread.values}):
            own = [(where(sparsity), spread.values[seed]) for sparsity, spread in points if seed in spread.values]
            axes.plot(*zip(*own, strict=True), color=TICKET, alpha=0.35, linewidth=0.8)
    line = (0, (1, 1.2)) if dotted else "-"
    axes.plot(
        places, means, color=TICKET, linewidth=2.2, linestyle=line, marker="o", markersize=5, label="ticket", zorder=3
    )
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
    return [spread.mean + sign * (spread.sd or 0.0) for _, spread in points for sign in (-1, 1)]


def _limits(axes: Axes, seen: Sequence[float], controls: Sequence[float], higher: bool) -> str:
    """Room for ticket and dense: far-off controls leave on the side that is worse, which is returned.

    A wide range of a figure of which less is better gets a logarithmic axis.
    """
    everything = [*seen, *controls] or [0.0, 1.0]
    low, high = min(everything), max(everything)
    least, most = min(seen, default=low), max(seen, default=high)
    if not higher and low > 0 and most / low > WIDE:
        logarithmic(axes)
        return ""
    span = (high - least if higher else most - low) or abs(low) * 0.1 or 1.0
    bottom, top = (max(low, least - 2.0 * span), high) if higher else (low, min(high, most + 2.0 * span))
    room = 0.08 * (top - bottom or span)
    axes.set_ylim(bottom - (room if higher else 0.12 * span), top + (0.12 * span if higher else room))
    if higher:
        return "below" if bottom > low else ""
    return "above" if top < high else ""


def _rows(summary: Summary, arm: str) -> list[Row]:
    return sorted((row for row in summary.rows if row.arm == arm), key=lambda row: row.round)


def _points(summary: Summary, arm: str, pick: Pick) -> list[Point]:
    found = ((row.sparsity, pick(row)) for row in _rows(summary, arm))
    return [(sparsity, spread) for sparsity, spread in found if spread is not None]


def _is_control(row: Row) -> bool:
    return base_arm(row.arm) not in ("dense", "ticket", "budget")


def _look(arm: str, marks: Mapping[str, tuple[str, str]]) -> tuple[str, str, str]:
    """Colour, marker and line of an arm."""
    if arm in ("dense", "ticket"):
        return (INK, "o", "-") if arm == "dense" else (TICKET, "o", "-")
    colour, marker = marks[base_arm(arm)]
    return colour, marker, "--" if arm.endswith(SCALED) else ":"
