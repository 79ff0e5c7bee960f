"""Draws every arm of a run against sparsity, on axes of any metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes

from gentickets.analysis.rows import Row
from gentickets.analysis.summary import Summary
from gentickets.analysis.text.format import Spread, arm_name
from gentickets.arms import TRANSFER, ArmName, kind_of
from gentickets.report.plots.svg import (
    BUDGET,
    CARRIED,
    INK,
    TICKET,
    WIDE,
    axis_position,
    logarithmic,
    sparsity_axis,
    styles,
)

Point = tuple[float, Spread]
"""Sparsity, and the figure there."""
Pick = Callable[[Row], Spread | None]
"""What a plot shows of a row."""


def on_test(metric: str) -> Pick:
    """A row's figure on the test split."""
    return lambda row: row.test.get(metric)


def draw(axes: Axes, summary: Summary, pick: Pick, *, seeds: bool, higher: bool) -> str:
    """Every arm against sparsity, with the spread over seeds; ``above`` or ``below`` where a control is off."""
    seen: list[float] = []
    rounds = {row.round: row.sparsity for row in summary.own_rows}
    for arm, colour, line in (("dense", INK, "-"), ("budget", BUDGET, "--")):
        row = summary.row(arm)
        if row is not None and (spread := pick(row)) is not None:
            seen += band(axes, spread, colour, line, arm_name(arm))
    ticket = _points(summary, "ticket", pick)
    if ticket:
        seen += _line(axes, ticket, seeds, dotted=not summary.search_method.goes_round_by_round)
    controls = [row.arm for row in summary.rows if is_control(row) and not ArmName.of(row.arm).longer]
    marks, worst = marks_of(summary), []
    for arm in dict.fromkeys(controls):
        found = ((row, pick(row)) for row in _rows(summary, arm))
        placed = [(rounds.get(row.round, row.sparsity), spread) for row, spread in found if spread is not None]
        if placed:
            worst += _control(axes, arm, placed, marks)
    sparsity_axis(axes, rounds.values(), axis_label(summary))
    last = axis_position(max(rounds.values(), default=0.0)) or 1.0
    axes.set_xlim(-0.03 * last, 1.03 * last)
    return limits(axes, seen, worst, higher)


def band(axes: Axes, spread: Spread, colour: str, line: str, label: str) -> list[float]:
    """A line across the axes with its spread, as of the dense model; its ends."""
    sd = spread.sd or 0.0
    axes.axhline(spread.mean, color=colour, linewidth=1.5, linestyle=line, label=label, zorder=1.5)
    if sd:
        axes.axhspan(spread.mean - sd, spread.mean + sd, color=colour, alpha=0.12, linewidth=0)
    return [spread.mean - sd, spread.mean + sd]


def _line(axes: Axes, points: Sequence[Point], seeds: bool, dotted: bool) -> list[float]:
    """The ticket: mean with a band of one sd, and each seed faintly; `dotted` where each level stands by itself."""
    places = [axis_position(sparsity) for sparsity, _ in points]
    means = [spread.mean for _, spread in points]
    low = [spread.mean - (spread.sd or 0.0) for _, spread in points]
    high = [spread.mean + (spread.sd or 0.0) for _, spread in points]
    axes.fill_between(places, low, high, color=TICKET, alpha=0.18, linewidth=0)
    if len(points) == 1:  # a band of no width
        axes.errorbar(places, means, yerr=[points[0][1].sd or 0.0], color=TICKET, capsize=3, zorder=3)
    if seeds:
        for seed in sorted({seed for _, spread in points for seed in spread.values}):
            own = [
                (axis_position(sparsity), spread.values[seed]) for sparsity, spread in points if seed in spread.values
            ]
            axes.plot(*zip(*own, strict=True), color=TICKET, alpha=0.35, linewidth=0.8)
    line = (0, (1, 1.2)) if dotted else "-"
    axes.plot(
        places, means, color=TICKET, linewidth=2.2, linestyle=line, marker="o", markersize=5, label="ticket", zorder=3
    )
    return [*low, *high]


def _control(axes: Axes, arm: str, points: Sequence[Point], marks: Mapping[str, tuple[str, str]]) -> list[float]:
    colour, marker, _ = style_of(arm, marks)
    # Twins stand a little apart, so that their marks do not hide each other.
    name = ArmName.of(arm)
    order = list(marks).index(name.base) + 1
    shift = 0.012 * order * (1 if name.scaled else -1)
    axes.errorbar(
        [axis_position(sparsity) + shift for sparsity, _ in points],
        [spread.mean for _, spread in points],
        yerr=[spread.sd or 0.0 for _, spread in points],
        color=colour,
        marker=marker,
        markersize=6,
        markerfacecolor="none" if name.scaled else colour,
        linewidth=0.9,
        linestyle=":",
        capsize=3,
        label=arm_name(arm),
        zorder=2.5,
    )
    return [spread.mean + sign * (spread.sd or 0.0) for _, spread in points for sign in (-1, 1)]


def limits(axes: Axes, seen: Sequence[float], controls: Sequence[float], higher: bool) -> str:
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


def is_control(row: Row) -> bool:
    """Whether a row is one of a control of the target's own ticket; what was transferred has figures of its own."""
    return kind_of(row.arm).role == "control"


def marks_of(summary: Summary) -> Mapping[str, tuple[str, str]]:
    """Control -> colour and marker, the same in every figure of a page; those of a transfer come last."""
    carried = [row.arm for row in summary.rows if (kind := kind_of(row.arm)).of_transfer and kind.name != TRANSFER]
    return styles([*(row.arm for row in summary.rows if is_control(row)), *carried])


def style_of(arm: str, marks: Mapping[str, tuple[str, str]]) -> tuple[str, str, str]:
    """Colour, marker and line of an arm."""
    strong = {"dense": INK, "ticket": TICKET, TRANSFER: CARRIED}
    if arm in strong:
        return strong[arm], "o", "-"
    name = ArmName.of(arm)
    return *marks[name.base], "--" if name.scaled else ":"


def axis_label(summary: Summary) -> str:
    """What a sparsity is a share of, for an axis."""
    return "channels removed (%)" if summary.of_channels else "sparsity (%)"
