"""Draws the heat map of a matrix of transfers: sources as rows, targets as columns."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gentickets.analysis.text.format import DASH, fixed, percent, signed_percent
from gentickets.analysis.transfer_levels import UNDECIDED
from gentickets.report.plots.svg import INK, LINE, MUTED, styled, to_svg

if TYPE_CHECKING:
    from gentickets.analysis.transfer_matrix import Matrix, MatrixPair

COLOURS = "RdBu_r"
"""Blue: better than the best random ticket; red: worse; white between them. The colour-blind can tell them apart."""
LINEAR = 1.0
"""Percent up to which colours go evenly; beyond, logarithmic: one figure may halve where another moves by 1 %."""
LEAST, MOST = 10.0, 1000.0
"""The scale reaches from minus to plus the largest loss, and at least and at most so far."""


def heat_map(matrix: Matrix) -> bytes:
    """The map as a PNG on white."""
    with styled():
        figure, stream = _drawn(matrix), io.BytesIO()
        figure.savefig(
            stream, format="png", dpi=150, facecolor="white", bbox_inches="tight", metadata={"Software": None}
        )
    return stream.getvalue()


def heat_svg(matrix: Matrix, name: str = "matrix") -> str:
    """The map as an inline SVG that follows the page's colours."""
    with styled():
        return to_svg(_drawn(matrix), "Tickets of every source in every target", name)


def _drawn(matrix: Matrix) -> Figure:
    sources, targets = matrix.sources, matrix.targets
    figure = Figure(figsize=(2.6 + 2.25 * len(targets), 1.3 + 1.15 * len(sources)))
    axes = figure.add_subplot()
    axes.grid(visible=False)
    norm = _scale(matrix)
    for row, source in enumerate(sources):
        for column, target in enumerate(targets):
            _cell(axes, matrix.at(source, target), column, row, norm)
    axes.set_xlim(0, len(targets))
    axes.set_ylim(len(sources), 0)
    axes.set_xticks([place + 0.5 for place in range(len(targets))], labels=targets)
    axes.set_yticks([place + 0.5 for place in range(len(sources))], labels=sources)
    axes.xaxis.set_ticks_position("top")
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("carried into", color=MUTED)
    axes.set_ylabel("ticket of", color=MUTED)
    axes.tick_params(length=0, labelsize=11)
    axes.spines[:].set_visible(False)
    _key(axes, norm)
    return figure


def _scale(matrix: Matrix) -> SymLogNorm:
    known = [abs(pair.to_best) for pair in matrix.pairs if pair.to_best is not None]
    most = min(MOST, max([LEAST, *known]))
    return SymLogNorm(LINEAR, vmin=-most, vmax=most, base=10)


def _cell(axes: Axes, pair: MatrixPair | None, column: int, row: int, norm: SymLogNorm) -> None:
    """One pair: coloured by its loss against the best random ticket where it is decided, with word and numbers."""
    coloured = pair is not None and pair.to_best is not None and pair.word != UNDECIDED
    face, ink = ("none", INK) if not coloured or pair is None else _colours(pair.to_best or 0.0, norm)
    edge = {"edgecolor": LINE} if coloured else {"edgecolor": MUTED, "linestyle": (0, (4, 3))}
    axes.add_patch(Rectangle((column + 0.02, row + 0.03), 0.96, 0.94, facecolor=face, linewidth=0.8, **edge))
    if pair is None:
        axes.text(column + 0.5, row + 0.5, DASH, ha="center", va="center", color=MUTED)
        return
    axes.text(column + 0.5, row + 0.27, pair.word, ha="center", va="center", color=ink, fontsize=11, weight="bold")
    axes.text(column + 0.5, row + 0.64, "\n".join(_told(pair)), ha="center", va="center", color=ink, fontsize=8.5,
              linespacing=1.35)  # fmt: skip


def _told(pair: MatrixPair) -> list[str]:
    if pair.to_best is None and pair.to_dense is None:
        return [f"n = {pair.n}"]
    at = f"at {percent(pair.sparsity)}, " if pair.sparsity is not None else ""
    return [
        f"to best random {signed_percent(pair.to_best)}",
        f"to dense {signed_percent(pair.to_dense)}, native {signed_percent(pair.to_native)}",
        f"{at}n = {pair.n}",
    ]


def _colours(loss: float, norm: SymLogNorm) -> tuple[str, str]:
    """A cell's colour and that of its letters, dark on light and light on dark."""
    red, green, blue, _ = colormaps[COLOURS](float(norm(max(norm.vmin or 0.0, min(norm.vmax or 0.0, loss)))))
    light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
    face = "#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue))
    return face, "#101418" if light else "#ffffff"


def _key(axes: Axes, norm: SymLogNorm) -> None:
    """The scale of colours below the map."""
    steps, most = 120, float(norm.vmax or LEAST)
    high = 1 / len(axes.get_yticks())
    bar = axes.inset_axes((0.0, -0.26 * high, 1.0, 0.14 * high))
    for place in range(steps):
        colour = _colours(float(norm.inverse((place + 0.5) / steps)), norm)[0]
        # To the end: what comes next lies over it, so that no gap shines through.
        bar.add_patch(Rectangle((place / steps, 0), 1 - place / steps, 1, facecolor=colour, edgecolor="none"))
    ticks = [tick for tick in (-1000, -100, -10, -1, 0, 1, 10, 100, 1000) if abs(tick) <= most]
    bar.set_xticks([float(norm(tick)) for tick in ticks], labels=[fixed(tick, 0) for tick in ticks])
    bar.set_yticks([])
    bar.grid(visible=False)
    bar.spines[:].set_visible(False)
    bar.set_xlabel("loss against the best random ticket, % of its mean: blue is better", color=MUTED)
