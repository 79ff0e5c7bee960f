"""Plots the lines between two trainings, and the class fractions of samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gentickets.analysis.run_verdict import Diagnostics, Interpolation
from gentickets.analysis.stability import CONNECTED
from gentickets.analysis.text.format import direction, metric_name
from gentickets.analysis.text.verdict import class_distance
from gentickets.report.plots.svg import CONTROLS, INK, MUTED, TICKET, styled, to_svg

WIDTH = 5.4
"""Inches of a figure that stands beside another, or under it on a narrow screen."""


def above(axes: Axes, place: float, text: str) -> None:
    """Write a line's name above the axes."""
    axes.annotate(
        text,
        (place, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        fontsize=8.5,
        color=MUTED,
    )


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def barriers(diagnostics: Diagnostics, name: str = "barriers") -> Markup:
    """The barrier between two trainings against the step that both start from, a dot for each seed."""
    found = {
        path.step: [100 * value for value in path.relative.values() if _finite(value)] for path in diagnostics.paths
    }
    steps = sorted(step for step, values in found.items() if values)
    if not steps:
        return Markup("")
    with styled():
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axes = figure.add_subplot()
        means = [statistics.fmean(found[step]) for step in steps]
        axes.plot(range(len(steps)), means, color=MUTED, linewidth=1.2, zorder=1, gid="mean")
        axes.axhline(100 * CONNECTED, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1, gid="connected")
        for place, step in enumerate(steps):
            colour = TICKET if step == diagnostics.rewind_to else INK
            values = found[step]
            axes.scatter([place] * len(values), values, s=26, color=colour, alpha=0.75, linewidth=0, gid=f"step-{step}")
        axes.axhline(0, color=INK, linewidth=1.0)
        axes.set_xticks(range(len(steps)), labels=[str(step) for step in steps])
        axes.set_xlim(-0.5, len(steps) - 0.5)
        axes.set_xlabel("step that both trainings start from")
        axes.set_ylabel("barrier (% of the ends)")
        return Markup(to_svg(figure, "Barrier against the step that both trainings start from", name))


def interpolation(diagnostics: Diagnostics, metric: str | None, name: str = "along") -> Markup:
    """The metric on the straight line between two trainings, a line for each step; the mean over its seeds."""
    paths = [path for path in sorted(diagnostics.paths, key=lambda path: path.step) if path.places and path.values]
    if not paths:
        return Markup("")
    with styled():
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axes = figure.add_subplot()
        for path, colour in _coloured(paths, diagnostics.rewind_to):
            means = [statistics.fmean(column) for column in zip(*path.values.values(), strict=True)]
            label = f"step {path.step}"
            axes.plot(path.places, means, color=colour, marker="o", markersize=3, label=label, gid=f"path-{path.step}")
        shown = paths[0].metric or metric
        axes.set_xlabel("from one training (0) to the other (1)")
        if shown is not None:
            axes.set_ylabel(f"{metric_name(shown)}\n({direction(shown)})")
        figure.legend(loc="outside right center", fontsize=9)
        return Markup(to_svg(figure, "The straight line between two trainings", name))


def _coloured(paths: Iterable[Interpolation], rewind_to: int | None) -> Iterator[tuple[Interpolation, str]]:
    """The step of the tickets in their colour, the others in those of controls."""
    place = 0
    for path in paths:
        if path.step == rewind_to:
            yield path, TICKET
        else:
            yield path, CONTROLS[place % len(CONTROLS)]
            place += 1


def bars(fractions: Sequence[float], real: Sequence[float], most: float) -> Markup:
    """Shares of classes as small bars, with a tick at each share of the test images; `most` is the whole height."""
    if not fractions:
        return Markup("")
    step, width, tall = 11, 8, 30
    scale = tall / (most or 1.0)
    parts = [
        f'<rect x="{step * place}" y="{tall - scale * share:.1f}" width="{width}" height="{scale * share:.1f}"/>'
        for place, share in enumerate(fractions)
    ]
    if class_distance(fractions, real) is not None:
        parts += [
            f'<path d="M{step * place - 1} {tall - scale * share:.1f}h{width + 2}"/>'
            for place, share in enumerate(real)
        ]
    told = ", ".join(f"{100 * share:.0f}" for share in fractions)
    box = f"-1 -2 {step * len(fractions)} {tall + 3}"
    label = f"percent of samples in each class: {told}"
    return Markup(
        f'<svg class="bars" role="img" aria-label="{label}" viewBox="{box}" width="{step * len(fractions)}" '
        f'height="{tall + 3}">{"".join(parts)}</svg>'
    )
