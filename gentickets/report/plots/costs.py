"""Plots what a run spent: where its time and FLOPs went, and quality against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gentickets import arms
from gentickets.analysis.pareto import UNITS, ParetoPoint
from gentickets.analysis.summary import Summary
from gentickets.analysis.text.format import (
    Spread,
    arm_name,
    direction,
    engineering,
    higher_is_better,
    in_order,
    metric_name,
    percent,
    phase_name,
)
from gentickets.report.plots.marks import limits
from gentickets.report.plots.svg import BUDGET, INK, MUTED, OTHER, PHASES, TICKET, WIDE, styled, styles, to_svg

OPEN = {arms.DENSE: INK, arms.TICKET: TICKET, arms.BUDGET: BUDGET}
"""Arms that the range of a plot always holds, and their colours."""
AXES = {"flops": "FLOPs executed to find and train it", "seconds": "seconds to find and train it"}


def time_spent(summary: Summary, name: str = "time") -> str:
    """Seconds, and beside them FLOPs where they are known, by arm and phase, as stacked bars; empty without any."""
    told = {
        "seconds": summary.seconds,
        f"{'at least so many ' if summary.uncounted else ''}FLOPs executed": summary.spent,
    }
    panels = {unit: own for unit, own in told.items() if any(sum(phases.values()) > 0 for phases in own.values())}
    arms = [arm for arm in summary.seconds if any(sum(own.get(arm, {}).values()) > 0 for own in panels.values())]
    if not arms:
        return ""
    phases = in_order(phase for own in panels.values() for arm in arms for phase in own.get(arm, {}))
    with styled():
        figure = Figure(figsize=(8.4 if len(panels) == 1 else 10.4, 0.9 + 0.34 * len(arms)))
        axes_of = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        figure.subplots_adjust(wspace=0.12)
        for axes, (unit, own) in zip(axes_of, panels.items(), strict=True):
            _bars(axes, [own.get(arm, {}) for arm in arms], phases)
            axes.set_xlabel(f"{unit}, all rounds and seeds")
            if unit != "seconds":
                axes.xaxis.set_major_formatter(lambda value, _: engineering(value) if value else "0")
        axes_of[0].set_yticks(range(len(arms)), labels=[arm_name(arm) for arm in arms])
        axes_of[0].invert_yaxis()
        axes_of[0].legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(phases))
        return to_svg(figure, "Seconds and FLOPs by arm and phase", name)


def _bars(axes: Axes, arms: Sequence[Mapping[str, float]], phases: Sequence[str]) -> None:
    left = [0.0] * len(arms)
    for phase in phases:
        widths = [own.get(phase, 0.0) for own in arms]
        colour = PHASES.get(phase, OTHER)
        axes.barh(range(len(arms)), widths, left=left, height=0.68, color=colour, label=phase_name(phase))
        left = [start + width for start, width in zip(left, widths, strict=True)]
    most = max(left)
    for place, total in enumerate(left):
        text = engineering(total) if most >= 1e5 else f"{total:,.0f} s" if most >= 20 else f"{total:.1f} s"
        axes.annotate(
            text, (total, place), xytext=(4, 0), textcoords="offset points", va="center", color=INK, fontsize=9
        )
    axes.set_xlim(0, 1.18 * most)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def pareto_plot(summary: Summary, name: str = "front") -> str:
    """Quality on test against executed FLOPs and against seconds, with the Pareto fronts; empty without costs."""
    panels = [unit for unit in UNITS if len(_priced(summary.choices, unit)) > 1]
    if summary.metric is None or not panels:
        return ""
    with styled():
        figure = Figure(figsize=(9.6 if len(panels) > 1 else 7.2, 4.0))
        axes_of = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        figure.subplots_adjust(wspace=0.1)
        for axes, unit in zip(axes_of, panels, strict=True):
            _against(axes, summary, unit)
            axes.set_xlabel(AXES[unit])
        axes_of[0].set_ylabel(f"{metric_name(summary.metric)} on test ({direction(summary.metric)})")
        shown = [choice for unit in panels for choice in _priced(summary.choices, unit)]
        seen, controls = (_ends([c.quality for c in shown if (c.arm in OPEN) == known]) for known in (True, False))
        limits(axes_of[0], seen or controls, controls, higher_is_better(summary.metric))
        handles, labels = axes_of[-1].get_legend_handles_labels()
        axes_of[-1].legend(handles, labels, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
        return to_svg(figure, f"{metric_name(summary.metric)} against cost", name)


def _ends(found: Sequence[Spread]) -> list[float]:
    return [spread.mean + sign * (spread.sd or 0.0) for spread in found for sign in (-1, 1)]


def _priced(choices: Sequence[ParetoPoint], unit: str) -> list[ParetoPoint]:
    return [choice for choice in choices if choice.cost.get(unit)]


def _against(axes: Axes, summary: Summary, unit: str) -> None:
    """Every arm at its cost, one mark for each round, and the front behind them."""
    found = _priced(summary.choices, unit)
    marks = styles([choice.arm for choice in found if arms.ArmName.of(choice.arm).base not in OPEN])
    costs = [choice.cost[unit] or 0.0 for choice in found]
    if max(costs) / min(costs) > WIDE:
        axes.set_xscale("log")
        axes.minorticks_off()
    else:
        axes.locator_params(axis="x", nbins=5)
    best = sorted((choice.cost[unit] or 0.0, choice.quality.mean) for choice in found if unit in choice.front)
    if best:
        # To the right a network no better than the last one can be had for more.
        x, y = zip(*best, (1.06 * max(costs), best[-1][1]), strict=True)
        axes.step(x, y, where="post", color=MUTED, alpha=0.35, linewidth=5, zorder=1, label="Pareto front")
    for arm in dict.fromkeys(choice.arm for choice in found):
        own = sorted((choice for choice in found if choice.arm == arm), key=lambda choice: choice.cost[unit] or 0.0)
        _mark(axes, [(choice.cost[unit] or 0.0, choice) for choice in own], marks)
    if unit == "flops":
        axes.xaxis.set_major_formatter(lambda value, _: engineering(value) if value else "0")
    elif axes.get_xscale() == "log":
        axes.xaxis.set_major_formatter("{x:g}")


def _mark(axes: Axes, own: Sequence[tuple[float, ParetoPoint]], marks: Mapping[str, tuple[str, str]]) -> None:
    arm, name = own[0][1].arm, arms.ArmName.of(own[0][1].arm)
    colour, marker = (OPEN[name.base], "o") if name.base in OPEN else marks[name.base]
    # Hollow: scaled twins and what trained longer, which never stand at one cost.
    hollow = name.scaled or name.longer
    axes.errorbar(
        [cost for cost, _ in own],
        [choice.quality.mean for _, choice in own],
        yerr=[choice.quality.sd or 0.0 for _, choice in own],
        color=colour,
        marker=marker,
        markersize=7 if arm in OPEN else 6,
        markerfacecolor="none" if hollow else colour,
        linestyle=":" if arm == "ticket" else "none",
        capsize=2,
        linewidth=1,
        label=arm_name(arm),
        zorder=3 if arm in OPEN else 2,
    )
    for cost, choice in own:
        text = percent(choice.sparsity) if arm == "ticket" else choice.name.split()[-1] if arm == "width" else ""
        if text and math.isfinite(choice.quality.mean):
            place = (cost, choice.quality.mean)
            axes.annotate(text, place, xytext=(5, 5), textcoords="offset points", fontsize=8, color=colour)
