"""Plots a transfer: quality against sparsity, as in Figure 8 of Kalibhat et al. (2021)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gentickets.analysis.summary import Summary
from gentickets.analysis.text.format import Spread, arm_name, direction, higher_is_better, metric_name
from gentickets.analysis.transfer_levels import TransferLevel
from gentickets.analysis.trial import Comparison
from gentickets.arms import TRANSFER, ArmName
from gentickets.report.plots.marks import Point, axis_label, band, limits, marks_of, style_of
from gentickets.report.plots.svg import INK, MUTED, axis_position, sparsity_axis, styled, to_svg

SHIFT = 0.011
"""By so much of the axis marks of different arms stand apart, so that none hides another."""


def transfer_plot(summary: Summary, name: str = "transfer") -> str:
    """Transferred ticket, native ticket, everything random, and the dense line; empty without figures.

    Of variants with and without scaled survivors the better on validation is drawn, hollow where it is the scaled one.
    """
    whole = summary.transfer
    levels = [level for level in whole.levels if TRANSFER in level.spreads] if whole else []
    if whole is None or whole.metric is None or not levels:
        return ""
    metric = whole.metric
    with styled():
        figure = Figure(figsize=(9.2, 4.3))
        axes = figure.add_subplot()
        seen = _native(axes, summary, metric)
        carried = [(level.native_sparsity, level.spreads[TRANSFER]) for level in levels]
        worst = _beside(axes, summary, levels)
        last = axis_position(max(level.native_sparsity for level in levels)) or 1.0
        seen += _line(axes, carried, style_of(TRANSFER, {})[0], arm_name(TRANSFER), SHIFT * last / 3)
        sparsities = {row.sparsity for row in summary.own_rows if metric in row.test}
        sparsities |= {level.native_sparsity for level in levels}
        sparsity_axis(axes, sparsities, axis_label(summary))
        last = axis_position(max(sparsities)) or 1.0
        axes.set_xlim(-0.03 * last, 1.04 * last)
        if beyond := limits(axes, seen, worst, higher_is_better(metric)):
            note = f"something lies {beyond}\nthis range (see table)"
            axes.annotate(note, (1.015, 1.0), xycoords="axes fraction", va="top", fontsize=8.5, color=MUTED)
        axes.set_ylabel(f"{metric_name(metric)} on test ({direction(metric)})")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9.5)
        return to_svg(figure, f"A transferred ticket: sparsity against {metric_name(metric)}", name)


def _native(axes: Axes, summary: Summary, metric: str) -> list[float]:
    """Dense model and native ticket, in the range that is always shown."""
    seen: list[float] = []
    dense = summary.row("dense")
    if dense is not None and metric in dense.test:
        seen += band(axes, dense.test[metric], INK, "-", arm_name("dense"))
    rows = sorted(
        (row for row in summary.rows if row.arm == "ticket" and metric in row.test), key=lambda row: row.round
    )
    if rows:
        points = [(row.sparsity, row.test[metric]) for row in rows]
        seen += _line(axes, points, style_of("ticket", {})[0], "the target's own ticket")
    return seen


def _line(axes: Axes, points: Sequence[Point], colour: str, label: str, shift: float = 0.0) -> list[float]:
    axes.errorbar(
        [axis_position(sparsity) + shift for sparsity, _ in points],
        [spread.mean for _, spread in points],
        yerr=[spread.sd or 0.0 for _, spread in points],
        color=colour,
        marker="o",
        markersize=5,
        linewidth=2.2,
        elinewidth=1.3,
        capsize=3,
        label=label,
        zorder=3,
    )
    return [end for _, spread in points for end in _ends(spread)]


def _beside(axes: Axes, summary: Summary, levels: Sequence[TransferLevel]) -> list[float]:
    """The random tickets, the weights without the mask and the mask alone."""
    marks, worst = marks_of(summary), []
    found: dict[str, list[tuple[float, Comparison]]] = {}
    for level in levels:
        for control, other in _others(level).items():
            found.setdefault(control, []).append((level.native_sparsity, other))
    last = axis_position(max(level.native_sparsity for level in levels)) or 1.0
    for place, control in enumerate(control for control in marks if control in found):
        side = (place // 2 + 1) * (1 if place % 2 else -1)
        worst += _marked(axes, control, found[control], marks, side * SHIFT * last)
    return worst


def _others(level: TransferLevel) -> Mapping[str, Comparison]:
    """Control -> what stands for it at this level."""
    beside: Iterable[Comparison | None] = (*(level.trial.controls if level.trial else ()), level.unmasked, level.mask)
    return {other.control: other for other in beside if other is not None}


def _marked(
    axes: Axes,
    control: str,
    points: Sequence[tuple[float, Comparison]],
    marks: Mapping[str, tuple[str, str]],
    shift: float,
) -> list[float]:
    colour, marker, _ = style_of(control, marks)
    placed: list[Point] = [(axis_position(sparsity) + shift, other.spread) for sparsity, other in points]
    axes.errorbar(
        [place for place, _ in placed],
        [spread.mean for _, spread in placed],
        yerr=[spread.sd or 0.0 for _, spread in placed],
        color=colour,
        marker="none",
        linewidth=0.9,
        linestyle=":",
        capsize=3,
        zorder=2.5,
    )
    for scaled in (False, True):
        own = [
            point for point, (_, other) in zip(placed, points, strict=True) if ArmName.of(other.arm).scaled == scaled
        ]
        axes.plot(
            [place for place, _ in own],
            [spread.mean for _, spread in own],
            color=colour,
            marker=marker,
            markersize=6,
            markerfacecolor="none" if scaled else colour,
            linestyle="none",
            label=arm_name(control) if scaled == all(_scaled(points)) else None,
            zorder=2.6,
        )
    return [end for _, spread in placed for end in _ends(spread)]


def _scaled(points: Sequence[tuple[float, Comparison]]) -> list[bool]:
    return [ArmName.of(other.arm).scaled for _, other in points]


def _ends(spread: Spread) -> tuple[float, float]:
    return spread.mean - (spread.sd or 0.0), spread.mean + (spread.sd or 0.0)
