"""Draws the forest plot of a verdict: how much worse the ticket is than dense and than each control, with intervals."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.run_verdict import RunVerdict
from gentickets.analysis.text.format import higher_is_better, percent, signed_percent
from gentickets.analysis.verdict import LevelVerdict, Trial
from gentickets.arms import ArmName
from gentickets.report.plots.svg import INK, LINE, MUTED, PAPER, styled, styles, to_svg
from gentickets.report.plots.verdict import WIDTH, above
from gentickets.report.tables.verdict import beside_dense
from gentickets.statistics import AS_WELL

ROW, AROUND = 0.37, 0.75
"""Inches of a row of a forest plot, and of what stands above and below the rows."""
LEFT, RIGHT = 0.295, 0.78
"""Where the axes of a forest plot begin and end, in parts of its width: the same in all, so that they line up."""
FARTHEST = 3.0
"""How far a forest plot reaches, in margins or median losses: what lies beyond leaves with an arrow."""


@dataclass(frozen=True)
class _Row:
    """One line of a forest plot, in percent of the dense mean."""

    gid: str
    label: str
    colour: str
    marker: str
    mean: float
    ends: tuple[float, float]
    bootstrap: tuple[float, float] | None
    seeds: tuple[float, ...]
    word: str


def forests(judged: RunVerdict) -> list[tuple[LevelVerdict, bool, Markup]]:
    """A plot for each level, and beside the declared one that of longer training: level, whether longer, the SVG."""
    panels = [
        (level, longer, trial)
        for level in judged.declared_first
        for longer, trial in ((False, level.short), (True, level.longer))
        if trial is not None
    ]
    marks = styles([other.control for _, _, trial in panels for other in trial.controls])
    higher = higher_is_better(judged.metric)
    alpha = judged.look.alpha
    drawn = [_rows(trial, marks, higher, beside_dense(level, trial, alpha)) for level, _, trial in panels]
    limits = _limits([row for rows in drawn for row in rows], [_margin(trial) for _, _, trial in panels])
    return [
        (level, longer, Markup(_forest(rows, _margin(trial), limits, f"forest-{level.round}{'-longer' * longer}")))
        for (level, longer, trial), rows in zip(panels, drawn, strict=True)
    ]


def _rows(trial: Trial, marks: Mapping[str, tuple[str, str]], higher: bool, shown: str) -> list[_Row]:
    sign = -1 if higher else 1

    def row(gid: str, name: str, look: tuple[str, str], other: Mapping[int, float], loss: Contrast, word: str) -> _Row:
        share = 100 / (abs(trial.dense.mean) or math.nan)
        own = trial.ticket.values
        seeds = tuple(share * sign * (own[seed] - other[seed]) for seed in sorted(own.keys() & other.keys()))
        ends = (share * loss.low, share * loss.high)
        bootstrap = (share * loss.bootstrap[0], share * loss.bootstrap[1]) if loss.bootstrap else None
        return _Row(gid, name, *look, share * loss.mean, ends, bootstrap, seeds, word)

    found = [row("dense", "dense", (INK, "o"), trial.dense.values, trial.loss, shown)]
    for place, other in enumerate(trial.controls):
        word = "beaten" if other.beaten else "as well" if other.as_well else ""
        look = marks.get(other.control) or next(iter(marks.values()))
        found.append(
            row(
                f"control-{place}",
                ArmName.of(other.arm).of_length(longer=False).title,
                look,
                other.spread.values,
                other.loss,
                word,
            )
        )
    return found


def _margin(trial: Trial) -> float:
    return 100 * trial.limit / (abs(trial.dense.mean) or math.nan)


def _limits(rows: Sequence[_Row], margins: Sequence[float]) -> tuple[float, float]:
    """One axis for all panels: margin, dense and most controls fit; far-off ones and wide intervals leave it."""
    known = [margin for margin in margins if math.isfinite(margin)]
    means = [row.mean for row in rows if math.isfinite(row.mean)]
    middle = statistics.median(abs(mean) for mean in means) if means else 1.0
    against_dense = [abs(row.mean) for row in rows if row.gid == "dense" and math.isfinite(row.mean)]
    cap = FARTHEST * max([*known, middle, *against_dense]) or 1.0
    wanted = [0.0, *known, *(-margin for margin in known)]
    for row in rows:
        wanted += [end for end in (row.mean, *row.ends, *(row.bootstrap or ()), *row.seeds) if math.isfinite(end)]
    low, high = max(min(wanted), -cap), min(max(wanted), cap)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def _forest(rows: Sequence[_Row], margin: float, limits: tuple[float, float], name: str) -> str:
    height = AROUND + ROW * len(rows)
    with styled(font_size=9.5):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((LEFT, 0.5 / height, RIGHT - LEFT, ROW * len(rows) / height))
        # Nothing to see, but as wide as the figure: plots with short labels are cut to the same width.
        figure.add_artist(Line2D([0, 1], [0.001, 0.001], color="none", linewidth=0.1))
        if math.isfinite(margin):
            axes.axvspan(-AS_WELL * margin, margin, color=LINE, alpha=0.45, linewidth=0, zorder=0)
            axes.axvline(margin, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1, gid="margin")
            above(axes, margin, f"margin {percent(margin / 100).replace('.0 ', ' ')}")
        axes.axvline(0, color=INK, linewidth=1.0, zorder=1, gid="zero")
        for place, row in enumerate(rows):
            _draw(axes, place, row, limits)
        axes.set_xlim(*limits)
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.set_yticks(range(len(rows)), labels=[_wrapped(row.label) for row in rows], linespacing=1.05)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("ticket better  \N{LEFTWARDS ARROW}  loss in % of the dense mean  \N{RIGHTWARDS ARROW}  worse")
        return to_svg(figure, "Losses of the ticket with their intervals", name)


def _draw(axes: Axes, place: int, row: _Row, limits: tuple[float, float]) -> None:
    """One row: seeds above, the t interval with the mean, the bootstrap interval below; what leaves gets an arrow."""
    axes.scatter(row.seeds, [place - 0.24] * len(row.seeds), s=5, color=row.colour, alpha=0.55, linewidth=0, zorder=2)
    if all(map(math.isfinite, row.ends)):
        axes.plot(row.ends, (place, place), color=row.colour, linewidth=3.2, solid_capstyle="butt", gid=row.gid)
    if row.bootstrap is not None:
        axes.plot(row.bootstrap, (place + 0.24,) * 2, color=row.colour, linewidth=1.0, gid=f"{row.gid}-bootstrap")
    axes.plot(
        [row.mean],
        [place],
        marker=row.marker,
        markersize=5.5,
        color=row.colour,
        markeredgecolor=PAPER,
        markeredgewidth=0.5,
        linestyle="none",
        zorder=3,
        gid=f"{row.gid}-mean",
    )
    low, high = limits
    inside = 0.015 * (high - low)
    reach = [*(end for end in row.ends if math.isfinite(end)), row.mean]
    for beyond, edge, arrow in ((min(reach) < low, low + inside, "<"), (max(reach) > high, high - inside, ">")):
        if beyond:
            axes.plot(
                [edge], [place], marker=arrow, markersize=6, color=row.colour, linestyle="none", gid=f"{row.gid}-beyond"
            )
    text = f"{signed_percent(row.mean)} {row.word}".rstrip() if math.isfinite(row.mean) else row.word
    axes.annotate(
        text,
        (1.03, place),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=8.5,
        color=INK,
        annotation_clip=False,
    )


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 19, max_lines=2, placeholder="\N{HORIZONTAL ELLIPSIS}"))
