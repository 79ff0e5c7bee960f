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

from gentickets.analysis.run_verdict import RunVerdict
from gentickets.analysis.tested import LevelPart, Tested
from gentickets.analysis.text.format import higher_is_better, percent, signed_percent
from gentickets.analysis.verdict import LevelVerdict
from gentickets.arms import ArmName
from gentickets.report.plots.svg import INK, LINE, MUTED, PAPER, styled, styles, to_svg
from gentickets.report.plots.verdict import WIDTH, above
from gentickets.report.tables.verdict import OPEN, shown_word

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
        (level, longer, part)
        for level in judged.declared_first
        for longer, part in ((False, level.short), (True, level.longer))
        if part is not None
    ]
    marks = styles([other.control for _, _, part in panels for other in part.controls])
    higher = higher_is_better(judged.metric)
    drawn = [_rows(part, marks, higher) for _, _, part in panels]
    limits = _limits([row for rows in drawn for row in rows], [_margin(part) for _, _, part in panels])
    return [
        (level, longer, Markup(_forest(rows, part, limits, f"forest-{level.round}{'-longer' * longer}")))
        for (level, longer, part), rows in zip(panels, drawn, strict=True)
    ]


def _rows(part: LevelPart, marks: Mapping[str, tuple[str, str]], higher: bool) -> list[_Row]:
    sign = -1 if higher else 1
    share = 100 / (abs(part.dense.mean) or math.nan)

    def row(gid: str, style: tuple[str, str], one: Tested) -> _Row:
        own, other, loss = part.ticket.values, one.spread.values, one.loss
        seeds = tuple(share * sign * (own[seed] - other[seed]) for seed in sorted(own.keys() & other.keys()))
        bootstrap = (share * loss.bootstrap[0], share * loss.bootstrap[1]) if loss.bootstrap else None
        name = ArmName.of(one.arm).of_length(longer=False).title
        word = shown_word(one).replace(OPEN, "")
        return _Row(gid, name, *style, share * loss.mean, (share * loss.low, share * loss.high), bootstrap, seeds, word)

    found = [row("dense", (INK, "o"), part.against)]
    for place, other in enumerate(part.controls):
        found.append(row(f"control-{place}", marks.get(other.control) or next(iter(marks.values())), other))
    return found


def _margin(part: LevelPart) -> float:
    return _in_percent(part, part.margin)


def _in_percent(part: LevelPart, value: float | None) -> float:
    return math.nan if value is None else 100 * value / (abs(part.dense.mean) or math.nan)


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


def _forest(rows: Sequence[_Row], part: LevelPart, limits: tuple[float, float], name: str) -> str:
    margin, lead = _margin(part), _in_percent(part, part.lead)
    height = AROUND + ROW * len(rows)
    with styled(font_size=9.5):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((LEFT, 0.5 / height, RIGHT - LEFT, ROW * len(rows) / height))
        # Nothing to see, but as wide as the figure: plots with short labels are cut to the same width.
        figure.add_artist(Line2D([0, 1], [0.001, 0.001], color="none", linewidth=0.1))
        if math.isfinite(margin):
            axes.axvline(margin, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1, gid="margin")
            above(axes, margin, f"margin {percent(margin / 100).replace('.0 ', ' ')}")
        if math.isfinite(margin) and math.isfinite(lead):
            axes.axvspan(-lead, margin, color=LINE, alpha=0.45, linewidth=0, zorder=0)
            axes.axvline(-lead, color=MUTED, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1, gid="lead")
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
