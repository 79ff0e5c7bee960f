"""Plots densities per layer and training curves."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from gentickets.analysis.early_stopping import curve_of
from gentickets.analysis.summary import Summary
from gentickets.analysis.text.format import arm_name, heading, percent
from gentickets.arms import DENSE, WIDTH, ArmName, kind_of, reported_as
from gentickets.report.plots.marks import marks_of, style_of
from gentickets.report.plots.svg import CONTROLS, styled, to_svg
from gentickets.results import Result

POINTS = 150
"""Points of a curve; more would only make the page heavier."""
Curve = list[tuple[int, float]]


def densities(results: Sequence[Result], name: str = "densities") -> str:
    """A map of what each layer keeps at each round of the ticket (mean over seeds); empty without.

    Where channels were removed, of what each group of tied channels keeps: the smaller layers keep all they have.
    """
    cells = [cell for cell in results if cell.arm == "ticket" and cell.round > 0 and _shares(cell)]
    rounds = sorted({cell.round for cell in cells})
    layers = list(dict.fromkeys(layer for cell in cells for layer in _shares(cell)))
    if not cells:
        return ""
    grid = [[_kept(cells, layer, round) for round in rounds] for layer in layers]
    with styled(axes_grid=False):
        figure = Figure(figsize=(2.4 + 0.62 * len(rounds), 0.9 + 0.3 * len(layers)))
        axes = figure.add_subplot()
        floor = min((value for line in grid for value in line if value > 0), default=1.0)
        norm = LogNorm(vmin=min(floor, 0.5), vmax=1.0)
        shown = [[max(value, floor) if math.isfinite(value) else math.nan for value in line] for line in grid]
        axes.pcolormesh(shown, norm=norm, cmap="cividis", edgecolors="#fefefd", linewidth=0.6)
        if len(layers) * len(rounds) <= 400:
            _write_shares(axes, grid, norm)
        axes.set_yticks([place + 0.5 for place in range(len(layers))], labels=layers)
        means = [_mean(cell.sparsity for cell in cells if cell.round == r) for r in rounds]
        labels = [percent(mean) for mean in means]
        axes.set_xticks([place + 0.5 for place in range(len(rounds))], labels=labels)
        axes.tick_params(length=0)
        axes.tick_params(axis="x", rotation=0 if len(rounds) < 9 else 60)
        axes.invert_yaxis()
        axes.spines[:].set_visible(False)
        compact = any(cell.channels for cell in cells)
        axes.set_xlabel("channels removed by the ticket" if compact else "sparsity of the ticket")
        what = "channels kept in each group" if compact else "weights kept in each layer"
        return to_svg(figure, f"Percent of {what} at each round", name)


def _kept(cells: Iterable[Result], layer: str, round: int) -> float:
    return _mean(_shares(cell)[layer] for cell in cells if cell.round == round and layer in _shares(cell))


def _shares(cell: Result) -> Mapping[str, float]:
    """What a ticket keeps of each group of channels, else of each layer's weights."""
    return {group: kept / of for group, (kept, of) in cell.channels.items()} or cell.densities


def _write_shares(axes: Axes, grid: Sequence[Sequence[float]], norm: LogNorm) -> None:
    for row, line in enumerate(grid):
        for column, value in enumerate(line):
            if not math.isfinite(value):
                continue
            dark = value == 0 or float(norm(value)) < 0.55
            text = f"{100 * value:.0f}" if value >= 0.0995 or value == 0 else f"{100 * value:.1f}"
            place = (column + 0.5, row + 0.5)
            axes.text(*place, text, ha="center", va="center", fontsize=8.5, color="white" if dark else "black")


def curves(results: Sequence[Result], summary: Summary, name: str = "curves") -> str:
    """Training curves of dense, ticket and controls at the claim's level (else the last round), over seeds.

    Of a sweep, those of every width. The metric on validation where it was evaluated along the way, else the
    objectives' losses.
    """
    widths = {row.round: row.name for row in summary.rows if row.arm == WIDTH}
    level = summary.verdict.round or max((cell.round for cell in results if cell.arm == "ticket"), default=0)
    chosen: dict[str, list[Result]] = {}
    for cell in results:
        arm = reported_as(cell.arm, cell.round)
        if arm == WIDTH and cell.status == "done":
            chosen.setdefault(widths[cell.round], []).append(cell)
        elif cell.status != "done" or ArmName.of(arm).longer or kind_of(arm).whole:
            continue  # trained for other numbers of steps
        elif arm == DENSE or cell.round == level != 0:
            chosen.setdefault(arm, []).append(cell)
    order = [arm for arm in summary.seconds if arm in chosen] or list(chosen)
    panels = _panels(chosen, summary.metric)
    if not panels:
        return ""
    marks = marks_of(summary)
    swept = {name: CONTROLS[place % len(CONTROLS)] for place, name in enumerate(widths.values())}
    with styled():
        figure = Figure(figsize=(9.2 if len(panels) > 1 else 7.6, 3.2))
        axes_of = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, lines) in zip(axes_of, panels.items(), strict=True):
            for arm in order:
                if points := lines.get(arm):
                    style = {"color": swept[arm]} if arm in swept else _look(arm, marks)
                    axes.plot(*zip(*points, strict=True), label=arm_name(arm), **style)
            _scale(axes, lines.values())
            axes.set_title(title)
            axes.set_xlabel("step")
        axes_of[-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
        return to_svg(figure, "Training curves", name)


def _look(arm: str, marks: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    colour, _, line = style_of(arm, marks)
    if line == "-":
        return {"color": colour, "linewidth": 2.0}
    return {
        "color": colour,
        "linestyle": line,
        "linewidth": 1.4,
    }


def _panels(chosen: Mapping[str, list[Result]], metric: str | None) -> dict[str, dict[str, Curve]]:
    """Title -> arm -> mean curve over seeds."""
    if metric is not None:
        along = {arm: [_checkpoints(cell, metric) for cell in cells] for arm, cells in chosen.items()}
        if any(len(points) > 2 for found in along.values() for points in found):
            title = f"{heading(metric)} on validation"
            return {title: {arm: _over_seeds(found) for arm, found in along.items()}}
    points = (point for cells in chosen.values() for cell in cells for point in cell.losses)
    names = dict.fromkeys(key for point in points for key in point if key != "step")
    return {
        f"loss: {name}": {
            arm: _over_seeds([_series(cell.losses, name) for cell in cells]) for arm, cells in chosen.items()
        }
        for name in names
    }


def _checkpoints(cell: Result, metric: str) -> Curve:
    """The curve that the recipe asked for, else the checkpoints that stand for the cell."""
    if curve := curve_of(cell, metric):
        return curve
    found = ((point.get("step"), (point.get("valid") or {}).get(metric)) for point in cell.checkpoints)
    return [(int(step), float(value)) for step, value in found if step is not None and value is not None]


def _series(losses: Iterable[Mapping[str, Any]], name: str) -> Curve:
    return [(int(point["step"]), float(point[name])) for point in losses if point.get(name) is not None]


def _over_seeds(found: Sequence[Curve]) -> Curve:
    """The mean over seeds at each step, in at most POINTS points (means of neighbours)."""
    at: dict[int, list[float]] = {}
    for points in found:
        for step, value in points:
            if math.isfinite(value):
                at.setdefault(step, []).append(value)
    line = [(step, _mean(values)) for step, values in sorted(at.items())]
    size = max(1, math.ceil(len(line) / POINTS))
    groups = [line[start : start + size] for start in range(0, len(line), size)]
    return [(group[-1][0], _mean(value for _, value in group)) for group in groups]


def _scale(axes: Axes, lines: Collection[Curve]) -> None:
    """Room for the end of the training: its steep start may leave by the top."""
    last = max((step for line in lines for step, _ in line), default=0)
    late = [value for line in lines for step, value in line if step >= 0.1 * last]
    low, high = min(late, default=0.0), max(late, default=1.0)
    room = 0.06 * (high - low) or 0.05 * abs(low) or 1.0
    axes.set_ylim(low - room, high + room)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return math.fsum(found) / len(found) if found else math.nan
