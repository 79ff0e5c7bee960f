"""Plots the mask distances of an early-bird search: how they fell, and where each level emerged."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gentickets.analysis.early_bird import Emergence, MaskDistance
from gentickets.analysis.text.format import percent
from gentickets.report.plots.svg import CONTROLS, INK, MUTED, TICKET, logarithmic, styled, to_svg

COLOURS = (TICKET, *CONTROLS)
COLUMNS = 3
"""Panels beside each other."""
Pick = Callable[[MaskDistance], float | None]


def distances(seen: Emergence | None, of_channels: bool, name: str = "distances") -> str:
    """Distance per component against step, one panel for each level; empty without a trace.

    Under the corrected rule a last panel has the settling of rankings, compared with what chance would give.
    One seed is drawn strongly, the first in which a level emerged (else the first); the others faintly.
    """
    if seen is None or not any(look.distance is not None for look in seen.trace):
        return ""
    rounds = seen.rounds()
    settling = any(look.share is not None for look in seen.trace)
    panels = len(rounds) + settling
    columns = min(COLUMNS, panels)
    lines = math.ceil(panels / columns)
    with styled():
        figure = Figure(figsize=(7.6 if columns == 1 else 3.5 * columns + 1.2, 3.2 * lines), layout="constrained")
        grid = list(figure.subplots(lines, columns, squeeze=False).flat)
        for round, axes in zip(rounds, grid, strict=False):
            _level(axes, seen, round)
            axes.set_title(f"{percent(seen.of(round)[0].sparsity)} of the {'channels' if of_channels else 'weights'}")
            axes.set_ylabel("distance" if seen.rule == "published" else "distance, corrected for chance")
        if settling:
            _settling(grid[len(rounds)], seen)
        for axes in grid[panels:]:
            axes.set_visible(False)
        for axes in grid[:panels]:
            axes.set_xlim(0, 1.04 * max(look.step for look in seen.trace))
            axes.set_xlabel("step")
        told = [axes.get_legend_handles_labels() for axes in grid]
        legend = {label: handle for handles, labels in told for handle, label in zip(handles, labels, strict=True)}
        figure.legend(legend.values(), legend.keys(), loc="outside right center", fontsize=9)
        return to_svg(figure, "Distances of early-bird masks against step", name)


def strong_seed(seen: Emergence) -> int:
    """The seed that is drawn strongly: never the prettiest."""
    emerged = sorted(level.seed for level in seen.levels if level.step is not None)
    return emerged[0] if emerged else seen.seeds()[0]


def _level(axes: Axes, seen: Emergence, round: int) -> None:
    """One level: its distances, what they must not exceed, and where it emerged."""
    looks = [look for look in seen.trace if look.round == round]
    _lines(axes, seen, looks, lambda look: look.distance, lambda look: look.limit)
    for level in seen.of(round):
        if level.step is not None:
            alpha, label = (1.0, "emerged") if level.seed == strong_seed(seen) else (0.35, None)
            axes.axvline(
                level.step, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1, alpha=alpha, label=label
            )
    axes.set_ylim(bottom=0)


def _settling(axes: Axes, seen: Emergence) -> None:
    """What the last looks made of all that has moved: one ranking for all levels, watched until the last emerged."""
    once = {(look.seed, look.component, look.step): look for look in seen.trace if look.share is not None}
    _lines(axes, seen, list(once.values()), lambda look: look.share, lambda look: look.share_limit)
    if all(look.share for look in once.values()):
        logarithmic(axes)
    axes.set_title("against noise")
    axes.set_ylabel("recent share of all movement")


def _lines(axes: Axes, seen: Emergence, looks: Sequence[MaskDistance], value: Pick, limit: Pick) -> None:
    strong = strong_seed(seen)
    for place, component in enumerate(dict.fromkeys(look.component for look in seen.trace)):
        colour = COLOURS[place % len(COLOURS)]
        for seed in seen.seeds():
            own = sorted(
                (look for look in looks if (look.seed, look.component) == (seed, component)), key=lambda look: look.step
            )
            known = [(look.step, found) for look in own if (found := value(look)) is not None]
            if not known:
                continue
            if seed == strong:
                axes.plot(*zip(*known, strict=True), color=colour, linewidth=1.9, label=component or "all")
            else:
                axes.plot(*zip(*known, strict=True), color=colour, linewidth=0.8, alpha=0.4)
            allowed = [(look.step, most) for look in own if (most := limit(look)) is not None]
            if seed == strong and allowed:
                axes.plot(*zip(*allowed, strict=True), color=colour, linewidth=1.1, linestyle=":", zorder=1)
    if any(limit(look) is not None for look in looks):
        axes.plot([], [], color=MUTED, linewidth=1.1, linestyle=":", label="limit")
